"""The document of an app: imported in the project's own interpreter, in a process with a time limit that this one ends."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastness.tool.boot import launch
from fastness.tool.errors import CommandError

_SCRIPT = Path(__file__).with_name("_document.py")


@dataclass(frozen=True, slots=True)
class Served:
    """What an app says.

    Attributes:
        document: its OpenAPI document.
        deprecations: what its routes announce in headers, by `METHOD /path`; None when its interpreter lacks this package.
    """

    document: dict[str, Any]
    deprecations: Mapping[str, Mapping[str, Any]] | None


def document(app: str, directory: Path, *, timeout: float, python: str | None = None) -> Served:
    """Ask the app for its document.

    Args:
        app: `module:attribute` of the app, or of a function without arguments that makes it.
        directory: the project; the app is imported from here.
        timeout: seconds that it may take. Then it is killed, with all it started.
        python: the interpreter; by default the project's virtual environment, else the one that runs this.

    Raises:
        CommandError: there is no such app, importing it failed, or it took too long.
    """
    if not directory.is_dir():
        raise CommandError(f"{directory} is not a directory")
    interpreter = launch.interpreter(directory) if python is None else launch.named(python)
    with tempfile.TemporaryDirectory(prefix="fastness-") as scratch:
        path = Path(scratch) / "document.json"
        command = [interpreter, str(_SCRIPT), app, str(path)]
        # Hash order decides the order of sets; a document must not depend on it.
        ended = launch.run(command, directory, seconds=timeout, environment={"PYTHONHASHSEED": "0"})
        if ended.code is None:
            raise CommandError(f"{app} gave no document within {timeout:g} s: does it wait for something when imported?")
        lines = ended.errors.strip().splitlines()
        if ended.code == 3 and lines:
            raise CommandError(f"{app}: {lines[-1]}: name it with --app module:attribute or in [tool.fastness]")
        if ended.code != 0 or not path.is_file():
            why = lines[-1] if lines else f"exit code {ended.code}"
            raise CommandError(
                f"{app} could not be imported from {directory.resolve()}: {why} (FASTNESS_DEBUG=1 shows all of it)"
            )
        loaded = json.loads(path.read_text(encoding="utf-8"))
    return Served(loaded["openapi"], loaded["deprecations"])
