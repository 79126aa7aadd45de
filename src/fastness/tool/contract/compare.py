"""The comparison of two contracts: runs every area over what both have, and sums up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastness.tool.contract.areas import lifecycle, parameters, paths, request_bodies, responses, security, webhooks
from fastness.tool.contract.changes import Change, Level, Verdict
from fastness.tool.contract.context import Context, Pair
from fastness.tool.contract.model import Contract, Operation
from fastness.tool.contract.references import resolve
from fastness.tool.contract.settings import Settings
from fastness.tool.errors import CommandError

_ORDER = {Level.BREAKING: 0, Level.WARNING: 1, Level.INFO: 2}


@dataclass(frozen=True, slots=True)
class Result:
    """What a comparison found.

    Attributes:
        changes: the breaking ones first, then by operation.
        labels: where the old and the new document came from.
        versions: `info.version` of both.
    """

    changes: tuple[Change, ...]
    labels: tuple[str, str]
    versions: tuple[str, str]

    @property
    def verdict(self) -> Verdict:
        """Breaking when any change breaks that nobody accepted."""
        return Verdict.BREAKING if any(change.breaks for change in self.changes) else Verdict.COMPATIBLE

    @property
    def bump(self) -> str:
        """What semantic versioning asks of the next version: "major", "minor", or "none" when clients notice nothing.

        Nothing here asks for a patch: a deprecation is a minor step too (semver.org, 7), and words are not compared.
        """
        if any(change.level is Level.BREAKING for change in self.changes):
            return "major"
        return "minor" if self.changes else "none"

    @property
    def bumped(self) -> bool | None:
        """Whether the version went up as far as `bump` asks; None when the versions are not semantic ones."""
        old, new = (_version(text) for text in self.versions)
        if self.bump == "none":
            return True
        if old is None or new is None:
            return None
        # Below 1.0 a minor version may break (semver.org, 4), and a patch may add.
        place = ("major", "minor").index(self.bump) + (old[0] == 0 == new[0])
        return new > old and new[: place + 1] > old[: place + 1]


def compare(
    old: Contract, new: Contract, settings: Settings, *, served: Mapping[str, Mapping[str, Any]] | None = None
) -> Result:
    """Compare two contracts.

    Args:
        served: what the app says of its deprecations when it runs, to hold against the new document.
    """
    context = Context(old, new, settings)
    try:
        _compare(context, served)
    except RecursionError:
        raise CommandError(f"{old.label} and {new.label} are nested too deep to be compared") from None
    changes = tuple(sorted(context.changes, key=lambda change: _ORDER[change.level]))
    return Result(changes, (old.label, new.label), (old.version, new.version))


def _compare(context: Context, served: Mapping[str, Mapping[str, Any]] | None) -> None:
    old, new = context.old, context.new
    surroundings = _surroundings(old, new)
    for pair in paths.compare(context):
        same_place = surroundings and pair.old.path == pair.new.path
        if same_place and context.untouched(_path_item(old, pair.old), _path_item(new, pair.new)):
            continue
        paths.servers(context, pair)
        security.compare(context, pair)
        lifecycle.compare(context, pair)
        _exchange(context, pair)
        for inner in webhooks.callbacks(context, pair):
            _exchange(context, inner)
    for pair in webhooks.webhooks(context):
        _exchange(context, pair)
    if served is not None:
        lifecycle.agree(context, served)


def _exchange(context: Context, pair: Pair) -> None:
    parameters.compare(context, pair)
    request_bodies.compare(context, pair)
    responses.compare(context, pair)


def _surroundings(old: Contract, new: Contract) -> bool:
    """Whether what operations inherit from the document is the same in both."""

    def schemes(raw: Mapping[str, Any]) -> Any:
        components = raw.get("components")
        return components.get("securitySchemes") if isinstance(components, dict) else None

    return all(old.raw.get(name) == new.raw.get(name) for name in ("security", "servers")) and schemes(old.raw) == schemes(
        new.raw
    )


def _path_item(contract: Contract, operation: Operation) -> Any:
    return resolve(contract.raw, f"#{operation.pointer.rpartition('/')[0]}")


def _version(text: str) -> tuple[int, int, int] | None:
    parts = text.lstrip("v").partition("+")[0].partition("-")[0].split(".")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        return None
    return int(parts[0]), int(parts[1]), int(parts[2])
