"""What a rule is: a function over the model, its documentation and its examples, all in one file.

A rule's file is `rules/<family>/<name>.py`, and the file's place is the rule's name: `rules/security/unverified_jwt.py` is
`security/unverified-jwt`. Nothing is registered anywhere else. The file has

- a module docstring: the first line says what is wrong, the rest why it hurts and what to do instead;
- one function `check`, decorated with `@rule(...)`, that yields `Found`s. Its parameters say what it needs, by type:
  `Service`, `Module` (then it is called once per module of the service), `Requirements`, `Resolver`, `CallGraph`, `Project`.
  One that takes `BootedApp`, `Served` or `Probed` runs only when the app is booted or probed; one that takes `Served | None`
  runs always, and lets facts overrule its guesses when it gets them. One that takes `Change` runs on pull requests: `--diff`;
- where a part of what it finds is told by single files, a function `each` besides, which takes `Module` and what it needs: what
  it finds is the rule's as well. What a file's functions say of it is remembered as long as what they looked into is the same;
- where it can correct what it finds, a function `fix`: see `repair`;
- `EXAMPLES`: `Bad` and `Good` sources, which run as tests. In a bad one `# found` ends each line that must be reported.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from types import ModuleType, NoneType
from typing import TypeVar, get_args, get_type_hints

from fastness.tool.check.changes import Commit
from fastness.tool.check.repair import Fixer
from fastness.tool.findings import Evidence, Fix, Severity, Source
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Class, Function, Scope


@dataclass(frozen=True, slots=True)
class Found:
    """A fault at a place, before the engine gives it its rule's name.

    Attributes:
        severity: where it differs from the rule's.
        count: how many places suffer from this one cause.
        source: where it differs from what the rule needs at least: a rule that reads sources and takes facts when it gets them.
    """

    path: str
    line: int
    column: int
    message: str
    evidence: tuple[Evidence, ...] = ()
    count: int = 1
    severity: Severity | None = None
    source: Source | None = None


def found(
    scope: Scope,
    node: ast.AST,
    message: str,
    *evidence: Evidence,
    count: int = 1,
    severity: Severity | None = None,
    source: Source | None = None,
) -> Found:
    """A fault at a node of the file in which a scope lies."""
    line, column = position(node)
    return Found(module_of(scope).path, line, column, message, evidence, count, severity, source)


def proof(scope: Scope, node: ast.AST, text: str) -> Evidence:
    """A place that proves a fault."""
    return Evidence(module_of(scope).path, position(node)[0], text)


def module_of(scope: Scope) -> Module:
    """The file in which a scope lies."""
    return scope.module if isinstance(scope, Class | Function) else scope


def position(node: ast.AST) -> tuple[int, int]:
    """Line and column of a node, both counted from 1; of a function or class, of its `def` and not its decorators."""
    return getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1


def collapse(found: Iterable[Found], cause: Callable[[Found], object]) -> Iterator[Found]:
    """One `Found` per cause: the first, with the count of all."""
    groups: dict[object, list[Found]] = {}
    for one in found:
        groups.setdefault(cause(one), []).append(one)
    for group in groups.values():
        yield replace(group[0], count=sum(one.count for one in group)) if len(group) > 1 else group[0]


@dataclass(frozen=True, slots=True)
class Bad:
    """Sources in which the rule must find exactly the lines that end in `# found`.

    `# file: path.py` on a line of its own begins the next file; without one, everything is in `app/main.py`.

    Attributes:
        booted: the app is booted and probed, as it always is for a rule that needs it: `app` in `app/main.py`.
        by_hand: how many of the findings the rule's `fix` leaves to a person.
        before: the sources before a change; what is not in them is new.
        commits: what the change consists of; one without paths touches every file that changes.
    """

    source: str
    booted: bool = False
    by_hand: int = 0
    before: str = ""
    commits: Sequence[Commit] = ()


@dataclass(frozen=True, slots=True)
class Good:
    """Sources in which the rule must find nothing, and the reason why; the rest is as in `Bad`."""

    source: str
    why: str = ""
    booted: bool = False
    before: str = ""
    commits: Sequence[Commit] = ()


Example = Bad | Good
Check = Callable[..., Iterator[Found]]
_C = TypeVar("_C", bound=Check)


@dataclass(frozen=True, slots=True)
class _Declared:
    severity: Severity
    practice: str
    fix: Fix
    help: str


_DECLARED = "__fastness_rule__"


def rule(*, severity: Severity, practice: str, help: str, fix: Fix = Fix.NONE) -> Callable[[_C], _C]:  # noqa: A002
    """Declare the function that checks a rule.

    Args:
        practice: the line of the list of practices that the rule proves, as `4.1`.
        fix: whether a fix is safe. Reports promise it only when the rule's file has a function `fix`.
        help: what to do about a finding, one sentence.
    """

    def declare(check: _C) -> _C:
        setattr(check, _DECLARED, _Declared(severity, practice, fix, help))
        return check

    return declare


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule, as read from its file.

    Attributes:
        needs: the types of what `check` takes, in order.
        optional: those that it can do without.
        fixer: corrects what it finds.
        each: the part of it that asks single modules, when it has one.
    """

    name: str
    severity: Severity
    practice: str
    fix: Fix
    help: str
    title: str
    text: str
    check: Check
    needs: tuple[type, ...]
    optional: frozenset[type]
    examples: Sequence[Example]
    fixer: Fixer | None = None
    each: Rule | None = None

    @property
    def family(self) -> str:
        return self.name.partition("/")[0]

    @property
    def parts(self) -> tuple[Rule, ...]:
        """The rule, and the part of it that asks single modules."""
        return (self,) if self.each is None else (self, self.each)

    @property
    def per_module(self) -> bool:
        """Called once for each module of the service."""
        return Module in self.needs


def read(module: ModuleType) -> Rule:
    """The rule that a module defines.

    Raises:
        ValueError: the module breaks the form that is described above.
    """
    family, name = module.__name__.split(".")[-2:]
    check = getattr(module, "check", None)
    declared = getattr(check, _DECLARED, None)
    if check is None or not isinstance(declared, _Declared):
        raise ValueError(f"{module.__name__} has no function check decorated with @rule")
    title, _, text = (module.__doc__ or "").partition("\n")
    if not title:
        raise ValueError(f"{module.__name__} has no docstring: its first line is the rule's title")
    fixer = getattr(module, "fix", None)
    taken, each = _taken(check), getattr(module, "each", None)
    whole = Rule(
        name=f"{family}/{name}".replace("_", "-"),
        severity=declared.severity,
        practice=declared.practice,
        fix=declared.fix if fixer is not None else Fix.NONE,
        help=declared.help,
        title=title.rstrip("."),
        text=inspect.cleandoc(text),
        check=check,
        needs=tuple(need for need, _ in taken),
        optional=frozenset(need for need, optional in taken if optional),
        examples=tuple(getattr(module, "EXAMPLES", ())),
        fixer=fixer,
    )
    if each is None:
        return whole
    part = replace(whole, check=each, needs=tuple(need for need, _ in _taken(each)), optional=frozenset())
    if whole.per_module or not part.per_module:
        raise ValueError(f"{module.__name__}: each takes a Module, and check does not")
    return replace(whole, each=part)


def _taken(check: Check) -> list[tuple[type, bool]]:
    hints = get_type_hints(check)
    return [_need(hints[parameter]) for parameter in inspect.signature(check).parameters]


def _need(hint: type) -> tuple[type, bool]:
    """The type that a parameter's annotation asks for, and whether the rule can do without."""
    options = [option for option in get_args(hint) if option is not NoneType]
    return (options[0], True) if len(options) == 1 and NoneType in get_args(hint) else (hint, False)
