"""What a file defines: scopes, what their names are bound to, and the calls that each makes. Plain data, no resolution."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from fastness.tool.project.source.walk import own

if TYPE_CHECKING:
    from fastness.tool.project.source.module import Module

# Kinds of nodes of which it is known, without a look at its nodes, that a function has none.
KINDS: Mapping[type[ast.AST], int] = {
    kind: 1 << position
    for position, kind in enumerate((
        ast.If, ast.Return, ast.Try, ast.Yield, ast.YieldFrom, ast.Raise, ast.With, ast.AsyncWith, ast.While, ast.For,
        ast.AsyncFor, ast.IfExp, ast.BoolOp, ast.Compare, ast.Assert, ast.Assign, ast.AugAssign,
    ))
}  # fmt: skip


class _Any(dict[tuple[type[ast.AST], ...], int]):
    """The bits of several kinds; none when one of them is not among those."""

    def __missing__(self, kinds: tuple[type[ast.AST], ...]) -> int:
        found = self[kinds] = sum(KINDS[kind] for kind in set(kinds)) if KINDS.keys() >= set(kinds) else 0
        return found


_ANY = _Any()
FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
_N = TypeVar("_N", bound=ast.AST)


class Kind(Enum):
    """How a name got its value."""

    IMPORT = auto()
    FUNCTION = auto()
    CLASS = auto()
    ASSIGN = auto()
    PARAMETER = auto()
    WITH = auto()
    LOOP = auto()
    EXCEPT = auto()


@dataclass(slots=True)
class Binding:
    """One place that gives a name its value; a name has as many as there are branches that bind it.

    Attributes:
        value: the expression that it comes from: assigned, entered, iterated, or a parameter's default.
        unpacked: what is taken apart when several names are bound at once, and which part this one gets; `value` is None.
        scope: the function whose body binds a name of the module, `global`: its value is evaluated there.
        module: of an import, the absolute dotted module; `member` is the name taken from it, None for the module itself.
        definition: the class or function that a definition made.
        type_checking: an import that exists for type checkers only.
    """

    kind: Kind
    node: ast.AST
    value: ast.expr | None = None
    annotation: ast.expr | None = None
    unpacked: tuple[ast.expr, int] | None = None
    scope: Function | None = None
    module: str = ""
    member: str | None = None
    definition: Class | Function | None = None
    type_checking: bool = False
    is_async: bool = False


@dataclass(slots=True, eq=False)
class CallSite:
    """One call in a function's body, or at module level.

    Attributes:
        number: its place among the calls of its scope.
        awaited: `await f()`.
        dropped: the result is used by nobody.
        looped: repeated by a loop or comprehension of the same scope.
        deferred: inside a lambda: this scope does not run it.
        name: the last part of what is called: `get` of `requests.get()`.
    """

    node: ast.Call
    scope: Scope
    awaited: bool
    dropped: bool
    looped: bool
    deferred: bool
    number: int
    line: int = field(init=False, repr=False)
    name: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.line = self.node.lineno
        called = self.node.func
        self.name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""

    if not TYPE_CHECKING:  # see `notes`

        def __getattr__(self, name: str) -> object:
            return _read(self, getattr(self.scope, "module", self.scope), name)

    def argument(self, keyword: str, position: int | None = None) -> ast.expr | None:
        """The argument of that name, or at that position."""
        return argument(self.node, keyword, position)


@dataclass(slots=True, eq=False)
class Function:
    """A function or method, with the scope that its body is.

    Attributes:
        number: its place among the definitions of its file.
        line: of its `def`.
        decorated_by: the last name of each decorator.
        is_empty: it has no body of its own, as a method that is there to be overridden.
        kinds: which of `KINDS` can be among its nodes, as bits.
    """

    name: str
    node: FunctionNode
    module: Module
    parent: Scope
    number: int
    line: int = field(init=False, repr=False)
    is_async: bool = field(init=False, repr=False)
    decorated_by: tuple[str, ...] = field(init=False, repr=False)
    is_empty: bool = field(init=False, repr=False)
    kinds: int = field(init=False, repr=False, default=0)
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    calls: list[CallSite] = field(default_factory=list)
    globals: set[str] = field(default_factory=set)
    has_await: bool = False
    is_generator: bool = False
    _nodes: list[ast.AST] | None = field(default=None, repr=False)
    _of: dict[tuple[type[ast.AST], ...], list[Any]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.line = self.node.lineno
        self.is_async = isinstance(self.node, ast.AsyncFunctionDef)
        self.decorated_by = tuple(last_name(decorator) for decorator in self.node.decorator_list)
        body = self.body
        self.is_empty = len(body) <= 1 and all(_says_nothing(statement) for statement in body)

    if not TYPE_CHECKING:  # see `outline`

        def __getattr__(self, name: str) -> object:
            return _read(self, self.module, name)

    @property
    def owner(self) -> Class | None:
        """The class of which this is a method."""
        return self.parent if isinstance(self.parent, Class) else None

    @property
    def qualified(self) -> str:
        """The name with its classes and outer functions: `Users.create`."""
        return self.name if isinstance(self.parent, _module_type()) else f"{self.parent.qualified}.{self.name}"

    @property
    def label(self) -> tuple[str, str]:
        """The file, and the name by which `Project.function` finds it again."""
        return self.module.path, self.module.labels[self.number]

    @property
    def decorators(self) -> list[ast.expr]:
        return self.node.decorator_list

    def decorated(self, *names: str) -> bool:
        """One of the decorators ends in one of these names, called or not."""
        return any(decorator in names for decorator in self.decorated_by)

    @property
    def parameters(self) -> Iterator[tuple[ast.arg, ast.expr | None]]:
        """Every parameter but `*args` and `**kwargs`, with its default."""
        arguments = self.node.args
        positional = [*arguments.posonlyargs, *arguments.args]
        padding: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
        yield from zip(positional, [*padding, *arguments.defaults], strict=True)
        yield from zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)

    @property
    def filled(self) -> list[str]:
        """The names of the parameters that a call fills: without the object or the class that a method has already."""
        names = [parameter.arg for parameter, _ in self.parameters]
        return names if self.owner is None or self.decorated("staticmethod") else names[1:]

    @property
    def nodes(self) -> list[ast.AST]:
        """Every node of the body that runs with it: nested functions and classes, but not what is inside of them."""
        if self._nodes is None:
            self._nodes = list(own(self.node.body))
        return self._nodes

    def of(self, *kinds: type[_N]) -> list[_N]:
        """Those of the nodes that are of these kinds."""
        wanted = _ANY[kinds]
        if wanted and not self.kinds & wanted:
            return []
        found = self._of.get(kinds)
        if found is None:
            found = self._of[kinds] = [node for node in self.nodes if node.__class__ in kinds]
        return found

    @property
    def body(self) -> list[ast.stmt]:
        """The statements without the docstring."""
        statements = self.node.body
        documented = statements and isinstance(statements[0], ast.Expr) and isinstance(statements[0].value, ast.Constant)
        return statements[1:] if documented and isinstance(statements[0].value.value, str) else statements  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"<Function {self.module.path}:{self.qualified}>"


@dataclass(slots=True, eq=False)
class Class:
    """A class, with the scope that its body is and everything that its methods assign to `self`."""

    name: str
    node: ast.ClassDef
    module: Module
    parent: Scope
    number: int
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    calls: list[CallSite] = field(default_factory=list)
    instance: dict[str, list[tuple[Binding, Function]]] = field(default_factory=dict)

    if not TYPE_CHECKING:  # see `outline`

        def __getattr__(self, name: str) -> object:
            return _read(self, self.module, name)

    @property
    def qualified(self) -> str:
        return self.name if isinstance(self.parent, _module_type()) else f"{self.parent.qualified}.{self.name}"

    def method(self, name: str) -> Function | None:
        """The method of that name that this class itself defines."""
        if not self.module.is_read:
            return next((f for f in reversed(self.module.functions) if f.parent is self and f.name == name), None)
        found = [b.definition for b in self.bindings.get(name, ()) if isinstance(b.definition, Function)]
        return found[-1] if found else None

    @property
    def methods(self) -> Iterator[Function]:
        for bindings in self.bindings.values():
            for binding in bindings:
                if isinstance(binding.definition, Function):
                    yield binding.definition

    @property
    def fields(self) -> Iterator[tuple[str, Binding]]:
        """The annotated names of the class body, in order."""
        for name, bindings in self.bindings.items():
            for binding in bindings:
                if binding.kind is Kind.ASSIGN and binding.annotation is not None:
                    yield name, binding

    def __repr__(self) -> str:
        return f"<Class {self.module.path}:{self.qualified}>"


Scope: TypeAlias = "Module | Class | Function"


def _says_nothing(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)
    return isinstance(statement, ast.Raise | ast.Pass)


def _read(known: Function | Class | CallSite, module: Module, name: str) -> object:
    """What is asked of a definition or a call of which something is known without it is read from its file."""
    if name not in known.__slots__ or module.is_read:
        raise AttributeError(f"{type(known).__name__!r} object has no attribute {name!r}")
    module.indexed()
    return getattr(known, name)


def _module_type() -> type[Module]:
    from fastness.tool.project.source.module import Module

    return Module


def argument(call: ast.Call, keyword: str, position: int | None = None) -> ast.expr | None:
    """The argument of a call that has this name, or stands at this position."""
    for passed in call.keywords:
        if passed.arg == keyword:
            return passed.value
    if position is not None and position < len(call.args):
        found = call.args[position]
        return None if isinstance(found, ast.Starred) else found
    return None


def passed(call: ast.Call, function: Function) -> list[tuple[str, ast.expr]]:
    """What a call gives to each parameter of the function that it calls."""
    names = function.filled
    named = ((keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg is not None)
    return [*zip(names, call.args, strict=False), *((name, value) for name, value in named if name in names)]


def handed_on(call: ast.Call) -> list[ast.expr]:
    """Everything that a call hands on, by position and by name."""
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def last_name(node: ast.expr) -> str:
    """The last part of a dotted name, of what is called when it is a call; empty for anything else."""
    while isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def dotted(node: ast.AST) -> str:
    """`a.b.c` as text, empty when the expression is anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def constant(node: ast.AST | None) -> object:
    """The value of a literal, None for everything else."""
    return node.value if isinstance(node, ast.Constant) else None


def values(node: ast.expr) -> Sequence[ast.expr]:
    """What an expression puts under a name: itself, or the elements of a literal table."""
    if isinstance(node, ast.Dict):
        return node.values
    return node.elts if isinstance(node, ast.List | ast.Tuple) else (node,)
