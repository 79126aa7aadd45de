"""Files that a person runs by hand, and not the service."""

from __future__ import annotations

from fastness.tool.check.knowledge.facts.imports import is_imported
from fastness.tool.project import Service
from fastness.tool.project.source.module import Module

_COMMAND_LINES = frozenset({"typer", "click", "argparse", "fire", "cyclopts"})


def is_command(service: Service, module: Module) -> bool:
    """A command line or a script beside the service, whose output is for the person who asked."""
    if any(name.partition(".")[0] in _COMMAND_LINES for name, *_ in module.imported):
        return True
    if not module.mentions("__main__"):
        return False
    return module.mentions("sys.argv") or not (module.mentions("fastapi") or is_imported(service.project, module))
