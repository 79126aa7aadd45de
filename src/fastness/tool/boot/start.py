"""Starts the project's interpreter on `inside`, and turns what it wrote into values or into one sentence."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastness.tool import declaration
from fastness.tool.boot import launch, probed
from fastness.tool.boot.app import BootedApp, Reader
from fastness.tool.boot.probed import Probed
from fastness.tool.errors import CommandError

DEFAULT = "app.main:app"
_START = "import runpy, sys; sys.path[0] = sys.argv.pop(1); runpy.run_module('inside', run_name='__main__')"
_LARGEST = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How an app is to be booted.

    Attributes:
        target: `module:attribute` of the app, or of a function without arguments that makes it; None: as configured.
        factory: the attribute is such a function even though it could be an app.
        probe: ask it as well.
        lifespan: run its start-up before it is asked.
        network: let it connect to anything.
        seconds: for all of it. Then it is killed, with all it started.
        python: the interpreter; None: the project's virtual environment, else the active one, else this one.
        patience: how a person gives it more time, for when it took too long.
    """

    target: str | None = None
    factory: bool = False
    probe: bool = False
    lifespan: bool = True
    network: bool = False
    seconds: float = 60
    python: str | None = None
    patience: str = "--boot-timeout gives it more time"


@dataclass(frozen=True, slots=True)
class Boot:
    """What booting a project gave.

    Attributes:
        probed: None when nothing was asked, or could be.
        gaps: what could not be learned, and why.
    """

    app: BootedApp
    probed: Probed | None = None
    gaps: tuple[str, ...] = ()


def examine(directory: Path, wanted: Wanted) -> Boot:
    """Boot the project's app, and probe it if that is wanted.

    Raises:
        CommandError: there is no app to examine: it is not there, importing it failed, ended or hung.
    """
    target = wanted.target or declaration.read(directory).text("app") or DEFAULT
    module, colon, attribute = target.partition(":")
    if not all(part.isidentifier() for part in [*module.split("."), *(attribute.split(".") if colon else ())]):
        raise CommandError(f"{target!r} is not module:attribute, such as {DEFAULT}")
    python = launch.interpreter(directory) if wanted.python is None else launch.named(wanted.python)
    with tempfile.TemporaryDirectory(prefix="fastness-") as scratch:
        out = Path(scratch) / "app.json"
        order = {
            "target": target,
            "out": str(out),
            "factory": wanted.factory,
            "probe": wanted.probe,
            "lifespan": wanted.lifespan,
            "network": wanted.network,
            "seconds": wanted.seconds,
        }
        command = [python, "-c", _START, str(Path(__file__).parent), json.dumps(order)]
        # Hash order decides the order of sets; findings must not depend on it.
        ended = launch.run(command, directory, seconds=wanted.seconds, environment={"PYTHONHASHSEED": "0"})
        document = _document(out)
    if document is None:
        raise CommandError(f"{target} could not be examined: {_why(ended, wanted)}")
    if "error" in document:
        raise CommandError(f"{target}: {document['error']}{_hint(document)}")
    try:
        return understood(
            document, target=target, root=directory, unprobed=_why_unprobed(ended, wanted) if wanted.probe else None
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError) as error:
        raise CommandError(f"{target} was described in an unusable form ({type(error).__name__}: {error})") from error


def understood(document: Mapping[str, Any], *, target: str, root: Path, unprobed: str | None = None) -> Boot:
    """What a document of `inside` says about the project in `root`.

    Args:
        unprobed: why it has no answers, should it have none; None when none were wanted.

    Raises:
        KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError: it is not of the form that `inside` gives.
    """
    reader = Reader(root)
    app = reader.app(document, target)
    gaps = []
    if app.openapi_error is not None:
        gaps.append(f"its OpenAPI document cannot be made: {app.openapi_error}")
    answers: Probed | None = None
    if "probe" in document:
        answers = probed.read(document["probe"], app.routes, reader)
        gaps += _probe_gaps(answers, document)
    elif unprobed is not None:
        gaps.append(f"it could not be probed: {document.get('probe_error', unprobed)}")
    return Boot(app, answers, tuple(gaps))


def _document(path: Path) -> dict[str, Any] | None:
    try:
        if path.stat().st_size > _LARGEST:
            return None
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _why(ended: launch.Ended, wanted: Wanted) -> str:
    if ended.code is None:
        return f"importing it took longer than {wanted.seconds:g} s: does it wait for something? {wanted.patience}"
    if ended.code < 0:
        return f"its process was ended by signal {-ended.code} while it was imported"
    lines = ended.errors.strip().splitlines()
    return f"its process ended with exit code {ended.code} while it was imported" + (f": {lines[-1][:300]}" if lines else "")


def _hint(document: Mapping[str, Any]) -> str:
    refused = (document.get("network") or {}).get("refused") or []
    return f" (it asked for {', '.join(refused[:3])}; --allow-network lets it)" if refused else ""


def _probe_gaps(answers: Probed, document: Mapping[str, Any]) -> list[str]:
    found = []
    if answers.lifespan_error is not None:
        found.append(f"the probes ran on an app that is not well: {answers.lifespan_error}{_hint(document)}")
    if answers.host is None:
        return [*found, "it refuses every host name that was tried, so nothing was asked"]
    fine = answers.answers.get("fine")
    if fine is None:
        found.append("there was no time left to ask anything")
    elif fine.status != 200:
        found.append(
            f"a request without credentials is answered with {fine.status} before any route: what is behind was not asked"
        )
    return found


def _why_unprobed(ended: launch.Ended, wanted: Wanted) -> str:
    if ended.code is None:
        return f"it took longer than {wanted.seconds:g} s: does it wait for something? {wanted.patience}"
    return f"its process ended with {ended.code} while it was asked"
