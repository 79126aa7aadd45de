"""A fault is fixed, and no test would notice if it came back.

The line that was wrong once is wrong again after a merge, a refactoring or a revert, and the customer who reported it reports
it again. The test that shows the fault is also the only proof that the fix is one.

Begin a fix with the test that fails without it, in the same pull request. This is looked at with `--diff` alone: by the
messages of its commits, of which one says that it fixes something and changes what the service does, while none touches a test.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.changes import Change, Commit
from fastness.tool.check.rule import Bad, Found, Good, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Project
from fastness.tool.project.source.module import Module

# At the beginning, where it is a verb: «Use a fixed page size» and «Add fixtures» fix nothing.
_FIX = re.compile(
    r"(?:\[?[A-Z][A-Z0-9]+-\d+\]?:?\s+|[^\w\s]+\s*)*(?:(?:bug|hot)[ -]?)?fix(?:es|ed)?(?:\([^)]*\))?!?(?:[:\s]|$)",
    re.IGNORECASE,
)
_NO_FAULT = re.compile(
    r"\((?:docs?|ci|build|deps(?:-dev)?|lint|style|types?|typing|tests?)\)"
    r"|\b(?:typos?|spelling|lint(?:er|ing)?|ruff|flake8|pylint|mypy|pyright|types?|typing|annotations?|format(?:ting)?|imports?"
    r"|docs?|docstrings?|comments?|readme|changelog|ci|pipeline|workflows?|build|flaky|tests?|warnings?)\b",
    re.IGNORECASE,
)
_TESTS = re.compile(r"(?:^|/)(?:tests?|testing|e2e|spec|cypress)/|(?:^|/)(?:conftest|test_[^/]*|[^/]*_tests?|tests)\.py$")


@rule(severity=Severity.INFO, practice="9.4", help="add the test that fails without the fix")
def check(change: Change, project: Project) -> Iterator[Found]:
    if any(_TESTS.search(path) for path in change.files):
        return
    fixes = [commit for commit in change.commits if _FIX.match(commit.subject) and not _NO_FAULT.search(commit.subject)]
    for commit in reversed(fixes):  # the oldest is what the pull request is about
        module = next((one for path in sorted(commit.paths) if (one := _behaves_differently(change, project, path))), None)
        if module is not None:
            message = f"no test in this change would fail without it: {_shown(commit)}"
            yield Found(module.path, _first_line(change, module), 1, message, count=len(fixes))
            return


def _behaves_differently(change: Change, project: Project, path: str) -> Module | None:
    """The service's module at a path, when it says something else than before: comments and docstrings say nothing."""
    module = project.modules.get(path)
    if module is None or not module.is_service or path not in change.files or path in project.unreadable:
        return None
    before = change.before(path)
    if before is None:
        return module
    try:
        return None if _meaning(ast.parse(before)) == _meaning(ast.parse(module.text)) else module
    except (SyntaxError, ValueError):
        return module  # it is newer than the Python that runs this


def _meaning(tree: ast.Module) -> str:
    """The code without its docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)


def _first_line(change: Change, module: Module) -> int:
    changed = change.files[module.path]
    return min([*(start for start, _ in changed.lines), *(gap + 1 for gap in changed.gaps), len(module.lines)])


def _shown(commit: Commit) -> str:
    """The message's first line, which anybody may have written."""
    text = "".join(character if character.isprintable() else "?" for character in commit.subject)
    return repr(text if len(text) <= 80 else f"{text[:79]}…")


_BEFORE = """
    # file: app/totals.py
    def total(prices):
        return sum(prices)
    # file: tests/test_totals.py
    def test_total(): ...
"""
_AFTER = """
    # file: app/totals.py
    def total(prices):
        return round(sum(prices), 2)
    # file: tests/test_totals.py
    def test_total(): ...
"""
EXAMPLES = [
    Bad(
        """
        # file: app/totals.py
        def total(prices):
            return round(sum(prices), 2)  # found
        # file: tests/test_totals.py
        def test_total(): ...
        """,
        before=_BEFORE,
        commits=(Commit("Say what totals are", ()), Commit("fix(totals): round to cents", ())),
    ),
    Bad(
        """
        # file: app/totals.py
        def total(prices):
            return round(sum(prices), 2)  # found
        # file: README.md
        Totals are rounded.
        """,
        before=_BEFORE.partition("    # file: tests")[0],
        commits=(Commit("[SHOP-17] Fixes totals that end in a third of a cent", ()),),
    ),
    Good(
        """
        # file: app/totals.py
        def total(prices):
            return round(sum(prices), 2)
        # file: tests/test_totals.py
        def test_total():
            assert total([0.1, 0.2]) == 0.3
        """,
        "the test comes with it, be it in another commit",
        before=_BEFORE,
        commits=(Commit("Test thirds of a cent", ("tests/test_totals.py",)), Commit("Fix totals", ("app/totals.py",))),
    ),
    Good(
        _AFTER,
        "a page size that is fixed, fixtures and a prefix are no fixes",
        before=_BEFORE,
        commits=(
            Commit("Use a fixed number of digits", ()),
            Commit("Fixed-point totals", ()),
            Commit("Fixtures for the demo", ()),
            Commit("Prefix totals", ()),
            Commit('Revert "Fix totals"', ()),
        ),
    ),
    Good(
        _AFTER,
        "what was fixed is no fault of the service",
        before=_BEFORE,
        commits=(
            Commit("Fix typo in the help", ()),
            Commit("fix(deps): newer pydantic", ()),
            Commit("Fix mypy's complaints", ()),
        ),
    ),
    Good(
        '''
        # file: app/totals.py
        """What an order costs."""

        def total(prices):
            """In cents."""
            return sum(prices)  # of one currency
        # file: tests/test_totals.py
        def test_total(): ...
        ''',
        "the code says what it said: comments, docstrings and blank lines",
        before=_BEFORE,
        commits=(Commit("Fix what the module says of itself", ()),),
    ),
    Good(
        """
        # file: app/totals.py
        def total(prices):
            return round(sum(prices), 2)
        # file: deploy/values.yaml
        replicas: 3
        # file: migrations/versions/0002_cents.py
        revision = "2"
        # file: tests/test_totals.py
        def test_total(): ...
        """,
        "the fix is to a deployment and a migration; the commit that changes the service adds something",
        before=_BEFORE,
        commits=(
            Commit("Round totals", ("app/totals.py",)),
            Commit("Fix the number of replicas", ("deploy/values.yaml", "migrations/versions/0002_cents.py")),
        ),
    ),
]
