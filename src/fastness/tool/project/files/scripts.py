"""Which files belong to the service although their folder says that they are scripts: what a served file imports is served.

Told from the text of import statements, so that no file is parsed for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePosixPath

from fastness.tool.project.source.module import ASIDE, Module

_IMPORT = re.compile(
    r"\n[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]*(\([^()]{0,5000}\)|[^\n]*)|import[ \t]+([\w., \t]+))"
)
_COMMENT = re.compile(r"#[^\n]*")


def imported(modules: Mapping[str, Module], find: Callable[[str, Module], Module | None]) -> Iterator[Module]:
    """The files in folders of scripts that served files import, and those that these import.

    Args:
        find: the module that a dotted name means in a file, found without reading it.
    """
    aside = {module.path for module in modules.values() if module.is_aside and not module.is_test}
    folders = {folder for path in aside for folder in path.split("/")[:-1] if ASIDE.fullmatch(folder)}
    waiting = [m for m in modules.values() if aside and not (m.is_aside or m.is_test) and m.mentions(*folders)]
    while waiting:
        importer = waiting.pop()
        for name in _names(importer):
            module = find(name, importer)
            for path in _run(module) if module is not None else ():
                if path in aside:
                    aside.discard(path)
                    waiting.append(modules[path])
                    yield modules[path]


def _run(module: Module) -> Iterator[str]:
    """The paths of what importing a module runs: its own, and those of the packages that it lies in."""
    yield module.path
    yield from (f"{parent}/__init__.py" for parent in PurePosixPath(module.path).parents)


def _names(module: Module) -> Iterator[str]:
    """Dotted names that the file imports; of `from a.b import c` also `a.b.c`."""
    for dots, name, members, plain in _IMPORT.findall("\n" + module.text.replace("\\\n", " ")):
        if plain:
            yield from _words(plain)
        else:
            base = module.absolute(name, len(dots))
            yield base
            yield from (f"{base}.{member}" if base else member for member in _words(members))


def _words(listed: str) -> list[str]:
    parts = _COMMENT.sub("", listed).strip("() \t\n").split(",")
    return [part.split()[0] for part in parts if part.strip()]
