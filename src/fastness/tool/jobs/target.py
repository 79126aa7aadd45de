"""What the worker of a service holds: found by name, in this process, because this process is the service's worker."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from fastness.lifespan import Resources
from fastness.tool import declaration
from fastness.tool.errors import CommandError

DEFAULT = "app.worker:resources"


def load(target: str | None = None) -> Resources:
    """The resources that `target`, as `module:attribute`, names: `Resources`, or a function that makes them.

    Args:
        target: by default `worker` in `[tool.fastness]` of this directory's `pyproject.toml`, else `app.worker:resources`.

    Raises:
        CommandError: there are none.
    """
    name = target or declaration.read(Path.cwd()).text("worker") or DEFAULT
    module, _, attribute = name.partition(":")
    if not (module and attribute):
        raise CommandError(f"{name!r} is not module:attribute, such as {DEFAULT}")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # something that the module itself imports
        raise CommandError(
            f"there is no module {error.name} here: run this in the directory of a service, or name its worker's resources "
            '(worker = "module:attribute" in [tool.fastness])'
        ) from None
    except AttributeError:
        raise CommandError(f"the module {module} has no {attribute}") from None
    if callable(found) and not isinstance(found, Resources):
        try:
            found = found()
        except ValueError as error:  # a setting that cannot be used, say
            raise CommandError(f"{name}: {error}") from error
    if not isinstance(found, Resources):
        raise CommandError(f"{name} is {type(found).__name__}, not fastness.lifespan.Resources or a function that gives them")
    return found
