"""One walk over a file's tree that finds its scopes, their names and their calls. Nothing is resolved here.

This is the only walk over every node that the static model makes, and it decides how fast a check is; hence one loop over
an explicit dispatch instead of `ast.NodeVisitor`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from fastness.tool.project.source.symbols import KINDS, Binding, CallSite, Class, Function, FunctionNode, Kind, Scope
from fastness.tool.project.source.walk import FIELDS

if TYPE_CHECKING:
    from fastness.tool.project.source.module import Module

_D = TypeVar("_D", Function, Class)
_LOOPS = frozenset({ast.For, ast.AsyncFor, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp})


_PUTS = frozenset({"add", "append", "appendleft", "insert", "setdefault"})  # with what they put in as the last argument
_PLAIN = frozenset({ast.Constant, ast.Name})  # every second node, in which there is nothing to find


def build(module: Module, tree: ast.Module, known: Iterable[Function | Class] = ()) -> None:
    """Fill the module's scopes from its tree.

    Args:
        known: its functions and classes, where somebody has them already, in the order of their definitions.
    """
    _Walk(module, known).statements(tree.body, module)


class _Walk:
    def __init__(self, module: Module, known: Iterable[Function | Class]) -> None:
        self.module = module
        self.known = iter(known)
        self.known_calls = module.known_calls
        self.type_checking = False

    def statements(self, body: Sequence[ast.AST], scope: Scope, *, looped: bool = False, deferred: bool = False) -> None:
        for node in body:
            if node.__class__ not in _PLAIN:
                self.visit(node, scope, looped, deferred)

    def visit(self, node: ast.AST, scope: Scope, looped: bool, deferred: bool) -> None:  # noqa: C901, PLR0911, PLR0912, PLR0915
        kind = node.__class__
        if kind is ast.Call:
            self._call(node, scope, looped, deferred)  # type: ignore[arg-type]
        elif kind is ast.Expr and node.value.__class__ is ast.Call:  # type: ignore[attr-defined]
            self._call(node.value, scope, looped, deferred, dropped=True)  # type: ignore[attr-defined]
            return
        elif kind is ast.Await:
            if isinstance(scope, Function) and not deferred:
                scope.has_await = True
            if node.value.__class__ is ast.Call:  # type: ignore[attr-defined]
                self._call(node.value, scope, looped, deferred, awaited=True)  # type: ignore[attr-defined]
                return
        elif kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
            self._function(node, scope, looped, deferred)  # type: ignore[arg-type]
            return
        elif kind is ast.ClassDef:
            self._class(node, scope, looped, deferred)  # type: ignore[arg-type]
            return
        elif kind is ast.Assign or kind is ast.AnnAssign or kind is ast.AugAssign or kind is ast.NamedExpr:
            self._assign(node, scope)
        elif kind is ast.Import or kind is ast.ImportFrom:
            self._import(node, scope)  # type: ignore[arg-type]
            return
        elif kind is ast.With or kind is ast.AsyncWith:
            self._with(node, scope)  # type: ignore[arg-type]
        elif kind is ast.For or kind is ast.AsyncFor:
            self._bind(node.target, Binding(Kind.LOOP, node, node.iter), scope)  # type: ignore[attr-defined]
            self._awaits(node, scope)
        elif kind is ast.ExceptHandler:
            if node.name:  # type: ignore[attr-defined]
                self._add(scope, node.name, Binding(Kind.EXCEPT, node, annotation=node.type))  # type: ignore[attr-defined]
        elif kind is ast.comprehension:
            self._bind(node.target, Binding(Kind.LOOP, node, node.iter), scope)  # type: ignore[attr-defined]
        elif kind is ast.Lambda:
            deferred = True
        elif kind is ast.Yield or kind is ast.YieldFrom:
            if isinstance(scope, Function):
                scope.is_generator = True
        elif kind is ast.Global:
            if isinstance(scope, Function):
                scope.globals.update(node.names)  # type: ignore[attr-defined]
            return
        elif kind is ast.If and _tests_type_checking(node.test):  # type: ignore[attr-defined]
            if isinstance(scope, Function):
                scope.kinds |= KINDS[ast.If]
            outer, self.type_checking = self.type_checking, True
            self.statements(node.body, scope)  # type: ignore[attr-defined]
            self.type_checking = outer
            self.statements(node.orelse, scope)  # type: ignore[attr-defined]
            return
        noted = KINDS.get(kind)
        if noted is not None and scope.__class__ is Function:
            scope.kinds |= noted
        if kind in _LOOPS:
            looped = True
        for name in FIELDS[kind]:
            value = getattr(node, name, None)
            if value.__class__ is list:
                for item in value:
                    if item is not None and item.__class__ not in _PLAIN:
                        self.visit(item, scope, looped, deferred)
            elif value.__class__ not in _PLAIN and isinstance(value, ast.AST):
                self.visit(value, scope, looped, deferred)

    def _call(
        self, node: ast.Call, scope: Scope, looped: bool, deferred: bool, *, awaited: bool = False, dropped: bool = False
    ) -> None:
        number = len(scope.calls)
        made = self.known_calls.get((id(scope), number)) if self.known_calls else None
        if made is None:
            made = CallSite(node, scope, awaited, dropped, looped, deferred, number)
        else:
            made.__init__(node, scope, awaited, dropped, looped, deferred, number)  # type: ignore[misc]
        scope.calls.append(made)
        if node.func.__class__ is ast.Attribute and node.func.attr in _PUTS and node.args:
            self._put(node.func.value, node.args[-1], scope)
        if awaited or dropped:  # the caller does not go on into the node
            self.visit(node.func, scope, looped, deferred)
            self.statements(node.args, scope, looped=looped, deferred=deferred)
            for keyword in node.keywords:
                self.visit(keyword.value, scope, looped, deferred)

    def _defined(self, kind: type[_D], node: Any, scope: Scope) -> _D:
        """What a node defines: the object that somebody has of it already, or a new one."""
        known = next(self.known, None)
        made = known if isinstance(known, kind) else kind.__new__(kind)
        kind.__init__(made, node.name, node, self.module, scope, len(self.module.defined))
        self.module.defined.append(made)
        return made

    def _function(self, node: FunctionNode, scope: Scope, looped: bool, deferred: bool) -> None:
        function = self._defined(Function, node, scope)
        self.module.functions.append(function)
        self._add(scope, node.name, Binding(Kind.FUNCTION, node, definition=function))
        arguments = node.args
        self.statements(node.decorator_list, scope, looped=looped, deferred=deferred)
        self.statements(
            [*arguments.defaults, *(d for d in arguments.kw_defaults if d)], scope, looped=looped, deferred=deferred
        )
        for parameter, default in function.parameters:
            self._add(function, parameter.arg, Binding(Kind.PARAMETER, parameter, default, parameter.annotation))
        for rest in (arguments.vararg, arguments.kwarg):
            if rest is not None:
                self._add(function, rest.arg, Binding(Kind.PARAMETER, rest))
        self.statements(node.body, function)

    def _class(self, node: ast.ClassDef, scope: Scope, looped: bool, deferred: bool) -> None:
        defined = self._defined(Class, node, scope)
        self.module.classes.append(defined)
        self._add(scope, node.name, Binding(Kind.CLASS, node, definition=defined))
        self.statements([*node.decorator_list, *node.bases], scope, looped=looped, deferred=deferred)
        self.statements(node.body, defined)

    def _assign(self, node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.Assign):
            for target in node.targets:
                self._bind(target, Binding(Kind.ASSIGN, node, node.value), scope)
        elif isinstance(node, ast.AnnAssign):
            self._bind(node.target, Binding(Kind.ASSIGN, node, node.value, node.annotation), scope)
        elif isinstance(node, ast.NamedExpr):
            self._bind(node.target, Binding(Kind.ASSIGN, node, node.value), scope)

    def _with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> None:
        is_async = isinstance(node, ast.AsyncWith)
        self._awaits(node, scope)
        for item in node.items:
            if item.optional_vars is not None:
                self._bind(item.optional_vars, Binding(Kind.WITH, node, item.context_expr, is_async=is_async), scope)

    def _put(self, into: ast.expr, value: ast.expr, scope: Scope) -> None:
        """Something is put into a collection that has a name, or is an attribute of the object itself."""
        if isinstance(into, ast.Name):
            self.module.put.setdefault(into.id, []).append((value, scope))
        elif isinstance(into, ast.Attribute) and isinstance(into.value, ast.Name) and into.value.id in {"self", "cls"}:
            self.module.put.setdefault(f".{into.attr}", []).append((value, scope))

    def _bind(self, target: ast.expr, binding: Binding, scope: Scope) -> None:
        if isinstance(target, ast.Name):
            self._add(scope, target.id, binding)
        elif isinstance(target, ast.Attribute):
            self._bind_attribute(target, binding, scope)
        elif isinstance(target, ast.Tuple | ast.List):
            values = binding.value.elts if isinstance(binding.value, ast.Tuple | ast.List) else ()
            paired = binding.kind is Kind.ASSIGN and len(values) == len(target.elts)
            starred = next((n for n, element in enumerate(target.elts) if isinstance(element, ast.Starred)), len(target.elts))
            for position, element in enumerate(target.elts):
                value = values[position] if paired else None
                told = not paired and binding.value is not None and position < starred
                unpacked = (binding.value, position) if told and binding.value is not None else None
                self._bind(element, Binding(binding.kind, binding.node, value, unpacked=unpacked), scope)
        elif isinstance(target, ast.Subscript):
            if binding.kind is Kind.ASSIGN and binding.value is not None:
                self._put(target.value, binding.value, scope)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, Binding(binding.kind, binding.node), scope)

    @staticmethod
    def _bind_attribute(target: ast.Attribute, binding: Binding, scope: Scope) -> None:
        if not isinstance(target.value, ast.Name) or not isinstance(scope, Function) or scope.owner is None:
            return
        first = next(scope.parameters, None)
        if first is not None and first[0].arg == target.value.id:
            scope.owner.instance.setdefault(target.attr, []).append((binding, scope))

    @staticmethod
    def _awaits(node: ast.AST, scope: Scope) -> None:
        if isinstance(node, ast.AsyncFor | ast.AsyncWith) and isinstance(scope, Function):
            scope.has_await = True

    def _import(self, node: ast.Import | ast.ImportFrom, scope: Scope) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                # `import a.b` binds `a`; `import a.b as c` binds the submodule.
                name, module = (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
                self._add(scope, name, Binding(Kind.IMPORT, node, module=module, type_checking=self.type_checking))
                self.module.imports.append((alias.name, None, node, scope, self.type_checking))
            return
        origin = self.module.absolute(node.module, node.level)
        for alias in node.names:
            self.module.imports.append((origin, alias.name, node, scope, self.type_checking))
            if alias.name == "*":
                self.module.stars.append(origin)
            else:
                binding = Binding(Kind.IMPORT, node, module=origin, member=alias.name, type_checking=self.type_checking)
                self._add(scope, alias.asname or alias.name, binding)

    def _add(self, scope: Scope, name: str, binding: Binding) -> None:
        if isinstance(scope, Function) and name in scope.globals:
            binding.scope = scope
            scope = self.module
        scope.bindings.setdefault(name, []).append(binding)


def _tests_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )
