"""What a mutant is: a function of ours whose behaviour is taken away, or in which one operator is another. It runs nothing.

A removal is a statement put in front of the body, which stays behind it, unreachable: so the code keeps its closure and what
kind of function it is, and can take the place of the original in every function object that there is, however it was
imported or decorated.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType

Definition = ast.FunctionDef | ast.AsyncFunctionDef

_SOURCE = Path(__file__).parent.parent / "src"
# The smallest thing of its kind that a caller would take without complaint.
_EMPTY = {
    "None": ("None",),
    "bool": ("True", "False"),
    "str": ("''",),
    "bytes": ("b''",),
    "int": ("0",),
    "float": ("0.0",),
    "dict": ("{}",),
    "Mapping": ("{}",),
    "list": ("[]",),
    "HeaderLines": ("[]",),
    "Sequence": ("[]",),
    "Iterable": ("[]",),
    "Iterator": ("iter(())",),
    "tuple": ("()",),
    "set": ("set()",),
    "frozenset": ("frozenset()",),
    "Self": ("self",),
}
_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
}
_OTHER_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


@dataclass(frozen=True)
class Function:
    """A function or method of a module, nested ones apart, which are part of the one around them.

    Attributes:
        file: its module.
        qualname: its name in the module.
        first: line on which its code begins: that of the first decorator.
        last: its last line.
    """

    file: Path
    qualname: str
    first: int
    last: int

    @property
    def name(self) -> str:
        """Where it is, as one would import it."""
        parts = self.file.relative_to(_SOURCE).with_suffix("").parts
        return ".".join((*(part for part in parts if part != "__init__"), self.qualname))


@dataclass(frozen=True)
class Mutant:
    """One change of one function of a module. `code` compiles it."""

    module: Module
    function: Function
    change: str
    code: Callable[[], CodeType]


class Module:
    """A source file, and the functions in it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._tree = ast.parse(file.read_text())
        self._definitions = dict(self._find(self._tree, ""))

    @property
    def functions(self) -> list[Function]:
        """All functions that do something: not overloads, nor what only declares."""
        return list(self._definitions)

    def probes(self, calls: Mapping[Function, str]) -> dict[Function, CodeType]:
        """Functions of the module, each with a call in front of its body."""
        tree = copy.deepcopy(self._tree)
        for function, node in self._find(tree, ""):
            if function in calls:
                _put_first(node, calls[function])
        codes = _by_place(compile(tree, str(self.file), "exec", dont_inherit=True))
        return {function: codes[function.qualname, function.first] for function in calls}

    def removals(self, function: Function) -> Iterator[Mutant]:
        """The behaviour removed: nothing done and something plausible returned, or a refusal left out."""
        node = self._definitions[function]
        body = _body(node)
        if node.name != "__init__":
            for statements in _instead(node):
                if not _is_no_change(body, statements):
                    yield self._mutant(function, statements, partial(_put_first, source=statements))
        yield from self._each(function, lambda kind: isinstance(kind, ast.Raise), _without_raise)

    def operators(self, function: Function) -> Iterator[Mutant]:
        """One comparison, connective, number or truth value another."""
        yield from self._each(function, lambda _: True, _other_operators)

    def _each(
        self, function: Function, wanted: Callable[[ast.AST], bool], changes: Callable[[ast.AST], Iterator[tuple[str, ast.AST]]]
    ) -> Iterator[Mutant]:
        node = self._definitions[function]
        for number, place in enumerate(_walk(node)):
            if not wanted(place):
                continue
            for which, (label, _) in enumerate(changes(place)):

                def change(mutated: Definition, number: int = number, which: int = which) -> None:
                    target = next(each for index, each in enumerate(_walk(mutated)) if index == number)
                    replacement = list(changes(target))[which][1]
                    _Replace(target, replacement).visit(mutated)

                yield self._mutant(function, f"line {getattr(place, 'lineno', node.lineno)}: {label}", change)

    def _mutant(self, function: Function, change: str, apply: Callable[[Definition], None]) -> Mutant:
        return Mutant(self, function, change, lambda: self._compile(function, apply))

    def _compile(self, function: Function, apply: Callable[[Definition], None]) -> CodeType:
        node = self._definitions[function]
        kept = copy.deepcopy(node.body)
        try:
            apply(node)
            ast.fix_missing_locations(node)
            code = compile(self._tree, str(self.file), "exec", dont_inherit=True)
        finally:
            node.body = kept
        return _by_place(code)[function.qualname, function.first]

    def _find(self, tree: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[Function, Definition]]:
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                yield from self._find(node, f"{prefix}{node.name}.")
            elif isinstance(node, Definition) and _body(node) and "overload" not in _decorators(node):
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                yield Function(self.file, prefix + node.name, first, node.end_lineno or first), node


def _by_place(code: CodeType) -> dict[tuple[str, int], CodeType]:
    """All functions in a module's code, by name and first line."""
    found: dict[tuple[str, int], CodeType] = {}
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= {(constant.co_qualname, constant.co_firstlineno): constant, **_by_place(constant)}
    return found


def _body(node: Definition) -> list[ast.stmt]:
    """What a function does: nothing where it only says something, or declares."""
    return [statement for statement in node.body if not _says_nothing(statement)]


def _is_no_change(body: list[ast.stmt], source: str) -> bool:
    return [ast.unparse(each).removeprefix("return ") for each in body] == [source.removeprefix("return ")]


def _says_nothing(statement: ast.stmt) -> bool:
    constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return constant or isinstance(statement, ast.Pass)


def _decorators(node: Definition) -> set[str]:
    return {ast.unparse(each).partition("(")[0].rpartition(".")[2] for each in node.decorator_list}


def _put_first(node: Definition, source: str) -> None:
    node.body[:0] = [ast.copy_location(statement, node) for statement in ast.parse(source).body]


def _instead(node: Definition) -> list[str]:
    """What a caller could get instead of the behaviour."""
    if any(isinstance(each, ast.Yield | ast.YieldFrom) for each in _walk(node, nested=False)):
        return ["yield\nreturn"] if _decorators(node) & {"contextmanager", "asynccontextmanager"} else ["return"]
    parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    if [each.arg for each in parameters][-3:] == ["scope", "receive", "send"]:
        wait = "await " if isinstance(node, ast.AsyncFunctionDef) else ""
        inner = [ast.unparse(each) for each in ast.walk(node) if isinstance(each, ast.Call)]
        passing = sorted({each for each in inner if each.startswith("self.") and each.endswith("(scope, receive, send)")})
        return [f"return {wait}{call}" for call in passing] or ["return None"]
    values: list[str] = []
    for kind in _alternatives(node.returns):
        values += _EMPTY.get(kind.partition("[")[0].rpartition(".")[2], ("None",))
    if node.returns is not None and (returned := ast.unparse(node.returns)) != "None":
        values += [each.arg for each in parameters if each.annotation is not None and ast.unparse(each.annotation) == returned]
    return [f"return {value}" for value in dict.fromkeys(values)]


def _alternatives(annotation: ast.expr | None) -> list[str]:
    if isinstance(annotation, ast.BinOp):
        return [*_alternatives(annotation.left), *_alternatives(annotation.right)]
    return ["None"] if annotation is None else [ast.unparse(annotation)]


def _walk(node: Definition, *, nested: bool = True) -> Iterator[ast.AST]:
    """The nodes of a body in a fixed order, with those of the functions in it or without."""
    waiting: list[ast.AST] = list(reversed(_body(node)))
    while waiting:
        each = waiting.pop()
        yield each
        if nested or not isinstance(each, Definition | ast.Lambda):
            waiting += reversed(list(ast.iter_child_nodes(each)))


class _Replace(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST) -> None:
        self._target = target
        self._replacement = ast.copy_location(replacement, target)

    def visit(self, node: ast.AST) -> ast.AST:
        return self._replacement if node is self._target else self.generic_visit(node)


def _without_raise(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    source = ast.unparse(node)
    # Which says that nobody gets there.
    if not source.startswith("raise AssertionError"):
        yield f"no {source[:60]}", ast.Pass()


def _other_operators(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for other in _others(node):
        yield f"{_short(node)} -> {_short(other)}", other


def _others(node: ast.AST) -> Iterator[ast.AST]:
    match node:
        case ast.Compare(left, ops, comparators):
            for position, operator in enumerate(ops):
                for other in _COMPARISONS[type(operator)]:
                    yield ast.Compare(left, [*ops[:position], other(), *ops[position + 1 :]], comparators)
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        # Those of other kinds are changed themselves.
        case ast.If(test, body, orelse) if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(test, body, orelse) if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp):
            yield ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.BinOp(left, op, right) if type(op) in _ARITHMETIC:
            yield ast.BinOp(left, _ARITHMETIC[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in _ARITHMETIC:
            yield ast.AugAssign(target, _ARITHMETIC[type(op)](), value)
        case ast.Call(ast.Name(name), args, keywords) if name in _OTHER_NAMES:
            yield ast.Call(ast.Name(_OTHER_NAMES[name], ast.Load()), args, keywords)
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _short(node: ast.AST) -> str:
    if isinstance(node, ast.If):
        return f"if {ast.unparse(node.test)}"[:80]
    return ast.unparse(ast.fix_missing_locations(node))[:80]
