"""The result for programs: `{"changes": [...], "verdict": "compatible" | "breaking", ...}`."""

from __future__ import annotations

import json

from fastness.tool.contract.compare import Result


def render(result: Result) -> str:
    """The result as JSON."""
    document = {
        "verdict": result.verdict.value,
        "old": {"source": result.labels[0], "version": result.versions[0]},
        "new": {"source": result.labels[1], "version": result.versions[1]},
        "bump": result.bump,
        "changes": [change.as_json() for change in result.changes],
    }
    return json.dumps(document, indent=2, ensure_ascii=False, default=str) + "\n"
