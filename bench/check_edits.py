"""Edits copies of projects and checks them with a cache and without: `python -m bench.check_edits SOURCES [--edits N]`.

SOURCES holds one checkout per project; nothing in it is written. After every edit the report of a check that knows what was
found before must be, but for its time, that of one that knows nothing. Edits are drawn: statements, decorators and parameters
come from elsewhere in the project, so that they mean something to its rules. Exits with 1 where reports differ.
"""

from __future__ import annotations

import argparse
import ast
import gc
import json
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from fastness.tool.check import beside, cache, config, engine
from fastness.tool.check.knowledge.facts.imports import graph
from fastness.tool.project.files.opening import open_project
from fastness.tool.project.files.project import Project

_IMPORTED = 20  # files that others import


class Copy:
    """A copy of a project that is edited at random."""

    def __init__(self, root: Path, draw: random.Random) -> None:
        self.root = root
        self.draw = draw
        self.files = sorted(path for path in root.rglob("*.py") if path.stat().st_size < 200_000)
        self.imported = _most_imported(root)
        self.broken: dict[Path, str] = {}

    def edit(self) -> str:
        """Make one edit, and tell which."""
        if self.broken and self.draw.random() < 0.4:
            path, text = self.broken.popitem()
            path.write_text(text, encoding="utf-8")
            return f"mended {path.relative_to(self.root)}"
        kind = self.draw.choice(_EDITS)
        # Of half of the edits it matters who has looked into the file.
        files = self.imported if self.draw.random() < 0.5 and self.imported else self.files
        path = self.draw.choice([path for path in files if path.exists() and path not in self.broken] or self.files)
        text = path.read_text(encoding="utf-8", errors="replace")
        changed = kind(self, path, text)
        if changed is not None:
            path.write_text(changed, encoding="utf-8")
        return f"{kind.__name__.strip('_')} {path.relative_to(self.root)}"

    def functions(self, text: str) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """The functions of a text, none when it does not parse."""
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            return []
        return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]

    def other(self) -> str:
        """The text of another file."""
        return self.draw.choice([path for path in self.files if path.exists()]).read_text(encoding="utf-8", errors="replace")


def _statement(copy: Copy, _: Path, text: str) -> str:
    """A statement of another file's function at the beginning of one here."""
    functions, others = copy.functions(text), copy.functions(copy.other())
    if not functions or not others:
        return f"{text}\n# nothing\n"
    function, other = copy.draw.choice(functions), copy.draw.choice(others)
    statement = ast.unparse(copy.draw.choice(other.body))
    return _inserted(text, function, statement)


def _call(copy: Copy, _: Path, text: str) -> str:
    """A call that rules know in a function."""
    functions = copy.functions(text)
    if not functions:
        return f"import time\n{text}"
    call = copy.draw.choice(
        ["time.sleep(1)", "requests.get(url)", "print('x')", "open('x').read()", "db.commit()", "await f()"]
    )
    return _inserted(text, copy.draw.choice(functions), call)


def _inserted(text: str, function: ast.FunctionDef | ast.AsyncFunctionDef, code: str) -> str:
    lines, first = text.split("\n"), function.body[0]
    if lines[first.lineno - 1][: first.col_offset].strip():
        return text
    indent = " " * first.col_offset
    return "\n".join([*lines[: first.lineno - 1], *(indent + line for line in code.split("\n")), *lines[first.lineno - 1 :]])


def _removed(copy: Copy, _: Path, text: str) -> str:
    functions = copy.functions(text)
    if not functions:
        return text
    gone, lines = copy.draw.choice(functions), text.split("\n")
    first = min([gone.lineno, *(decorator.lineno for decorator in gone.decorator_list)])
    return "\n".join([*lines[: first - 1], " " * gone.col_offset + "pass", *lines[gone.end_lineno :]])


def _renamed(copy: Copy, _: Path, text: str) -> str:
    functions = copy.functions(text)
    return text.replace(copy.draw.choice(functions).name, f"renamed_{copy.draw.randrange(100)}") if functions else text


def _async(copy: Copy, _: Path, text: str) -> str:
    """Every `async def` plain, or one plain function async."""
    return text.replace("async def", "def") if copy.draw.random() < 0.5 else text.replace("\ndef ", "\nasync def ", 1)


def _imported(copy: Copy, _: Path, text: str) -> str:
    """Another file's imports."""
    imports = [line for line in copy.other().split("\n") if line.startswith(("import ", "from ")) and "(" not in line]
    return "\n".join(
        [*copy.draw.sample(imports, min(3, len(imports))), text.replace("from __future__ import annotations\n", "")]
    )


def _appended(copy: Copy, _: Path, text: str) -> str:
    return f"{text}\n\ndef added_{copy.draw.randrange(1000)}() -> int:\n    return 1\n"


def _classes(copy: Copy, _: Path, text: str) -> str:
    """A class that inherits from one of another file."""
    named = [line.split("(")[0].split(":")[0].split()[1] for line in copy.other().split("\n") if line.startswith("class ")]
    base = copy.draw.choice(named) if named else "object"
    return f"{text}\n\nclass Added({base}):\n    def get(self):\n        return self.value\n"


def _empty(_copy: Copy, _path: Path, _text: str) -> str:
    return ""


def _deleted(_: Copy, path: Path, _text: str) -> None:
    path.unlink()


def _new(copy: Copy, path: Path, text: str) -> None:
    other = path.with_name(f"new_{copy.draw.randrange(1000)}.py")
    other.write_text(text, encoding="utf-8")
    copy.files.append(other)


def _syntax(copy: Copy, path: Path, text: str) -> str:
    copy.broken[path] = text
    return f"{text}\ndef :\n"


def _project(copy: Copy, _: Path, _text: str) -> None:
    file = copy.root / copy.draw.choice(["pyproject.toml", "requirements.txt", "Dockerfile", ".gitignore"])
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    line = {
        "requirements.txt": "pydantic<2\n", "Dockerfile": 'CMD ["uvicorn", "app:app", "--reload"]\n', ".gitignore": "tests/\n",
    }.get(file.name, "# edited\n")  # fmt: skip
    file.write_text(f"{text}\n{line}", encoding="utf-8")


_EDITS: list[Callable[[Copy, Path, str], str | None]] = [
    _statement, _statement, _call, _call, _removed, _renamed, _async, _imported, _appended, _classes, _empty, _deleted, _new,
    _syntax, _project,
]  # fmt: skip


def _most_imported(root: Path) -> list[Path]:
    project = Project.at(root)
    importers = Counter(edge.imported.path for edges in graph(project).values() for edge in edges)
    return [root / path for path, _ in importers.most_common(_IMPORTED)]


def compared(root: Path, kept: Path, *, apart: bool) -> tuple[bool, float, float]:
    """A check with the cache, in several processes if wanted, tells what one without it tells; and what each of them took."""
    settings = config.read(root)
    begin = time.process_time()
    project = open_project(root)
    known = cache.Cache(kept, project)
    report = known.report(settings)
    if report is None:
        report = engine.check(project, settings, kept=known, apart=apart and beside.possible())
        known.keep(settings, report)
    middle = time.process_time()
    fresh = engine.check(open_project(root), settings)
    end = time.process_time()
    told = [json.dumps({**asdict(one), "seconds": 0}, default=str) for one in (report, fresh)]
    gc.collect()
    return told[0] == told[1], middle - begin, end - middle


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.check_edits", description="Compare checks with and without a cache.")
    parser.add_argument("sources", type=Path)
    parser.add_argument("--edits", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    failed = 0
    for checkout in sorted(path for path in given.sources.iterdir() if path.is_dir() and given.only in path.name):
        with tempfile.TemporaryDirectory() as scratch:
            root = Path(scratch) / "copy"
            shutil.copytree(checkout, root, symlinks=True, ignore=shutil.ignore_patterns(".git", "node_modules"))
            copy = Copy(root, random.Random(f"{given.seed} {checkout.name}"))
            compared(root, Path(scratch) / "cache", apart=False)
            spent = [0.0, 0.0]
            for number in range(given.edits):
                edit = copy.edit()
                same, with_it, without = compared(root, Path(scratch) / "cache", apart=number % 3 == 0)
                spent[0] += with_it
                spent[1] += without
                if not same:
                    failed += 1
                    print(f"{checkout.name}: after edit {number}, {edit}, the reports differ", flush=True)
            print(
                f"{checkout.name}: {given.edits} edits, {spent[0] / spent[1]:.2f} of the time of checks without a cache",
                flush=True,
            )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
