"""Opens a project for a command that reads all of it and ends."""

from __future__ import annotations

import atexit
import gc
import sys
from pathlib import Path

from fastness.tool.errors import CommandError
from fastness.tool.project.files.project import Project

_DEEPEST = 10_000  # nested expressions; Python's own default stops at what generated code reaches


def open_project(directory: Path) -> Project:
    """The project below a directory, in an interpreter that is set up for its model: see the three lines that do it.

    Raises:
        CommandError: there is no Python there.
    """
    gc.disable()  # the model is one large, living graph: collecting it costs a third of the time and frees nothing
    atexit.register(gc.freeze)  # the same at the end, where the interpreter would take it apart node by node
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _DEEPEST))
    project = Project.at(directory)
    if not project.modules and not project.unreadable:
        raise CommandError(f"{directory} has no Python files that are its own: is this the right directory?")
    return project
