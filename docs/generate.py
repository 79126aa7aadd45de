"""Writes docs/reference, and the map of the template's service, from the code. With --check it only says what has drifted."""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib
import inspect
import io
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import fastness
from fastness.problems import ProblemType
from fastness.settings import ServiceSettings
from fastness.settings.describe import rows
from fastness.tool.cli import _parser as cli_parser
from fastness.tool.project import Project, Service
from fastness.tool.servicemap import svg
from fastness.tool.servicemap.survey import survey

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "fastness"
OUTPUT = ROOT / "docs" / "reference"
MAP = ROOT / "docs" / "images" / "relay-map.svg"
NOTE = "<!-- Written by docs/generate.py from the code; edit the code, then scripts/check --fix. -->"


def main() -> int:
    """Write the pages, or compare them."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true", help="write nothing; exit 1 when a page has drifted")
    check = arguments.parse_args().check
    drifted = 0
    pages = {"settings": settings(), "cli": cli(), "metrics": metrics(), "problems": problems()}
    texts = {OUTPUT / f"{name}.md": "\n".join([NOTE, "", *lines]).rstrip() + "\n" for name, lines in pages.items()}
    for page, text in {**texts, MAP: service_map()}.items():
        found = page.read_text() if page.exists() else ""
        if found == text:
            continue
        if check:
            drifted = 1
            print(
                *difflib.unified_diff(
                    found.splitlines(), text.splitlines(), f"{page.name} as it is", "from the code", lineterm=""
                ),
                sep="\n",
            )
        else:
            page.parent.mkdir(exist_ok=True)
            page.write_text(text)
            print(page.relative_to(ROOT))
    if drifted:
        print("the documentation has drifted from the code: run scripts/check --fix", file=sys.stderr)
    return drifted


def service_map() -> str:
    """What `fastness map template --format svg` prints."""
    drawn = io.StringIO()
    svg.write(survey(Service(Project.at(ROOT / "template")), name="relay"), drawn)
    return drawn.getvalue()


def settings() -> Iterator[str]:
    """What every service inherits; its own settings are in its `.env.example`."""
    yield from ("# Settings", "", _first_paragraphs(ServiceSettings), "")
    yield from _table(
        ("Setting", "Variable", "Type", "Default", "What it is for"),
        (
            (f"`{row.name}`", f"`{row.env}`", f"`{row.type}`", "secret" if row.secret else f"`{row.default}`", row.doc)
            for row in rows(ServiceSettings)
        ),
    )


def cli() -> Iterator[str]:
    """The command line's own help, one section a command."""
    parser = cli_parser()
    yield from ("# Command line", "", parser.description or "", "")
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        for name, command in action.choices.items():
            yield from (f"## fastness {name}", "", command.description or "", "")
            yield from _table(
                ("Argument", "Meaning"),
                (
                    (f"`{_spelling(option)}`", (option.help or "") % vars(option) if option.help else "")
                    for option in command._actions
                    if not isinstance(option, argparse._HelpAction)
                ),
            )
            yield ""


def _spelling(option: argparse.Action) -> str:
    if not option.option_strings:
        return str(option.metavar or option.dest)
    value = "" if option.nargs == 0 else f" {option.metavar or option.dest.upper()}"
    return option.option_strings[-1] + value


def metrics() -> Iterator[str]:
    """Every metric that the runtime declares: name, kind, labels and help stand literally in the calls that make it."""
    yield from ("# Metrics", "", "Exposed at `/metrics`. Names of counters end in `_total` there.", "")
    found = {row for path in sorted(SOURCE.rglob("*.py")) if "tool" not in path.parts for row in _declared_metrics(path)}
    yield from _table(("Metric", "Kind", "Labels", "What it counts"), sorted(found))


def _declared_metrics(path: Path) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        kind = getattr(node.func, "attr", getattr(node.func, "id", "")).rpartition("_")[2]
        constants = [argument.value for argument in node.args[:2] if isinstance(argument, ast.Constant)]
        texts = [constant for constant in constants if isinstance(constant, str)]
        if kind not in ("counter", "gauge", "histogram") or len(texts) < 2:
            continue
        labels = ast.literal_eval(node.args[2]) if len(node.args) > 2 else ()
        yield f"`{texts[0]}`", kind, ", ".join(f"`{label}`" for label in labels), texts[1]


def problems() -> Iterator[str]:
    """Every problem type that the runtime can answer with."""
    yield from (
        "# Problem types",
        "",
        "Every answer that is not 2xx or 3xx is a problem document (RFC 9457). These types are the runtime's own; a service",
        "adds its own, and a status that says enough by itself has the type `about:blank`.",
        "",
    )
    kinds = {
        value
        for module in _runtime_modules()
        for value in vars(module).values()
        if isinstance(value, ProblemType) and value.uri != "about:blank"
    }
    yield from _table(
        ("Type", "Status", "Title", "When, and what to do"),
        (
            (f"`{kind.uri}`", str(kind.status), kind.title, kind.description)
            for kind in sorted(kinds, key=lambda kind: kind.uri)
        ),
    )


def _runtime_modules() -> Iterator[Any]:
    for module in pkgutil.walk_packages(fastness.__path__, "fastness."):
        if not module.name.startswith(("fastness.tool", "fastness.testing")):
            yield importlib.import_module(module.name)


def _first_paragraphs(thing: Any) -> str:
    """The docstring of `thing` without its sections of arguments and errors."""
    text = inspect.getdoc(thing) or ""
    return text.partition("\n\nRaises:")[0].partition("\n\nArgs:")[0]


def _table(head: tuple[str, ...], body: Iterable[Iterable[str]]) -> Iterator[str]:
    lines = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in body]
    if not lines:
        yield "None."
        return
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in lines:
        yield f"| {' | '.join(row)} |"


if __name__ == "__main__":
    sys.exit(main())
