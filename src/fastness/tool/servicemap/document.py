"""The service map as a JSON document, with every step of every way."""

from __future__ import annotations

import json
from collections import Counter
from typing import TextIO

from fastness.tool.servicemap.model import Entry, Place, Reach, ServiceMap


def write(drawn: ServiceMap, out: TextIO) -> None:
    """Write the document; the same sources give the same bytes."""
    counts = Counter(resource for entry in drawn.entries for resource in entry.resources)
    document = {
        "service": drawn.name,
        "filtered": drawn.filtered,
        "entries": [_entry(entry) for entry in drawn.entries],
        "resources": [{"kind": r.kind, "name": r.name, "entries": number} for r, number in sorted(counts.items())],
        "not_followed": [{"what": gap.what, **_place(gap.place), "count": gap.count} for gap in drawn.gaps],
    }
    json.dump(document, out, indent=1)
    out.write("\n")


def _entry(entry: Entry) -> dict[str, object]:
    return {
        "kind": entry.kind,
        "methods": list(entry.methods),
        "paths": list(entry.paths),
        "function": entry.function,
        **_place(entry.place),
        "through": [component.name for component in entry.through],
        "tables": entry.tables,
        "reaches": [_reach(reach) for reach in entry.reaches],
    }


def _reach(reach: Reach) -> dict[str, object]:
    return {
        "kind": reach.resource.kind,
        "name": reach.resource.name,
        "by": reach.by,
        "steps": [{"function": step.function, **_place(step.place)} for step in reach.steps],
        "call": {"name": reach.call, **_place(reach.place)},
    }


def _place(place: Place) -> dict[str, object]:
    return {"path": place.path, "line": place.line}
