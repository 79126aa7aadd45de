"""`fastness contract`: a snapshot of an app's API, and what a change of it does to clients.

Documents are compared by what they mean: a request that the old contract allowed has to be accepted by the new one, and
nothing may reach a client that the old contract excluded. This module runs the four commands; `compare` does the work.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from fastness.tool.contract import accepted, app, snapshot, sources
from fastness.tool.contract import settings as _settings
from fastness.tool.contract.changes import Verdict
from fastness.tool.contract.compare import Result, compare
from fastness.tool.contract.reports import FORMATS, markdown
from fastness.tool.contract.settings import Settings
from fastness.tool.errors import FAILED, OK, CommandError

__all__ = ["FORMATS", "changelog", "check", "diff", "take_snapshot"]


def take_snapshot(project: Path, *, target: str | None = None, python: str | None = None, only_look: bool = False) -> int:
    """Write the document of the project's app to its snapshot; the exit code.

    Args:
        only_look: write nothing, and give 1 where something would be written.

    Raises:
        CommandError: there is no app, or it has no usable document.
    """
    settings = _settings.read(project)
    served = app.document(target or settings.app, project, timeout=settings.timeout, python=python)
    sources.checked(served.document, label=target or settings.app, old=False)
    if only_look:
        if snapshot.stands(settings.snapshot, served.document):
            return OK
        print(f"{settings.snapshot} is not what the app says: write it with fastness contract snapshot, and commit it")
        return FAILED
    changed = snapshot.write(settings.snapshot, served.document)
    print(f"{'wrote' if changed else 'unchanged:'} {settings.snapshot}")
    return OK


def check(project: Path, *, target: str | None = None, python: str | None = None, form: str = "text") -> int:
    """Compare the project's app with its snapshot; 1 when something breaks.

    Raises:
        CommandError: there is no snapshot or no app, or one of them cannot be compared.
    """
    settings = _settings.read(project)
    if not settings.snapshot.is_file():
        raise CommandError(f"{settings.snapshot} is not there: write it with fastness contract snapshot, and commit it")
    old = sources.load(str(settings.snapshot), old=True, snapshot=settings.snapshot)
    served = app.document(target or settings.app, project, timeout=settings.timeout, python=python)
    new = sources.checked(served.document, label=target or settings.app, old=False)
    result = _accepted(compare(old, new, settings, served=served.deprecations), settings, form)
    return _report(result, settings, form)


def diff(project: Path, old: str, new: str, *, form: str = "text", allow_remote: bool = False) -> int:
    """Compare two documents; 1 when something breaks.

    Raises:
        CommandError: one of them cannot be compared.
    """
    settings = _settings.read(project)
    return _report(_accepted(_compare(settings, old, new, allow_remote=allow_remote), settings, form), settings, form)


def changelog(project: Path, old: str, new: str | None, *, target: str | None = None, python: str | None = None) -> int:
    """Print what changed for clients as Markdown. Without `new` the project's app is the new one.

    Raises:
        CommandError: one of them cannot be compared.
    """
    settings = _settings.read(project)
    if new is None:
        before = sources.load(old, old=True, snapshot=settings.snapshot)
        served = app.document(target or settings.app, project, timeout=settings.timeout, python=python)
        result = compare(before, sources.checked(served.document, label=target or settings.app, old=False), settings)
    else:
        result = _compare(settings, old, new, allow_remote=False)
    print(markdown.changelog(result), end="")
    return OK


def _compare(settings: Settings, old: str, new: str, *, allow_remote: bool) -> Result:
    before = sources.load(old, old=True, snapshot=settings.snapshot, allow_remote=allow_remote)
    after = sources.load(new, old=False, snapshot=settings.snapshot, allow_remote=allow_remote)
    return compare(before, after, settings)


def _accepted(result: Result, settings: Settings, form: str) -> Result:
    changes, unused = accepted.apply(result.changes, accepted.read(settings.accepted))
    if form == "text":
        for entry in unused:
            print(f"unused    {settings.accepted}: {entry.id} of {entry.operation or 'the API'} means no change any more")
    return replace(result, changes=tuple(changes))


def _report(result: Result, settings: Settings, form: str) -> int:
    print(FORMATS[form](result), end="")
    if result.verdict is not Verdict.BREAKING:
        return OK
    if form == "text":
        print(f"To let one pass, give its id, operation and a reason as [[accepted]] in {settings.accepted}")
    return FAILED
