"""`fastness map` from arguments to exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from fastness.tool.errors import OK, expect_directory

if TYPE_CHECKING:
    from fastness.tool.servicemap.model import ServiceMap


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("directory", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: here)")
    parser.add_argument(
        "--format", choices=("text", "json", "mermaid", "svg", "html"), default="text", help="default: %(default)s"
    )
    parser.add_argument(
        "--from",
        dest="begin",
        metavar="ENTRY",
        help="only from here: 'POST /v1/orders', a path, a pattern, a function or a file",
    )
    parser.add_argument("--to", dest="end", metavar="RESOURCE", help="only to here: http, redis, a host or a table")


def run(arguments: argparse.Namespace) -> int:
    """Print the service map of the project. 0 printed, 2 could not run.

    Raises:
        CommandError: there is no project there, or nothing of the names that were given.
    """
    from fastness.tool.project import Service, open_project
    from fastness.tool.servicemap.filters import narrowed
    from fastness.tool.servicemap.survey import survey

    directory: Path = arguments.directory
    expect_directory(directory)
    project = open_project(directory)
    drawn = survey(Service(project), name=directory.resolve().name)
    if not drawn.entries:
        unread = f" ({len(project.unreadable)} files cannot be read)" if project.unreadable else ""
        print(f"fastness: no path operations of FastAPI are found in {directory}{unread}: the map is empty", file=sys.stderr)
    elif arguments.begin is not None or arguments.end is not None:
        drawn = narrowed(drawn, begin=arguments.begin, end=arguments.end)
        if not drawn.entries:
            print(f"fastness: nothing leads {drawn.filtered}, as far as the sources tell", file=sys.stderr)
    _forms()[arguments.format](drawn, sys.stdout)
    return OK


def _forms() -> Mapping[str, Callable[[ServiceMap, TextIO], None]]:
    from fastness.tool.servicemap import document, mermaid, page, svg, text

    return {"text": text.write, "json": document.write, "mermaid": mermaid.write, "svg": svg.write, "html": page.write}
