"""What names and expressions stand for: imports, aliases, attributes and calls, followed across the whole project.

The analysis is flow-insensitive: a name stands for everything that its scope binds it to. What cannot be told is the empty
tuple, never a guess, so a rule that asks for a thing by its path is told the truth or nothing.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Callable

from fastness.tool.project.files.project import Project
from fastness.tool.project.names import callers, held, hints, outside, state
from fastness.tool.project.names.external import canonical
from fastness.tool.project.names.hierarchy import FORMS, Hierarchy
from fastness.tool.project.names.memory import Memory
from fastness.tool.project.names.values import (
    MOST,
    ClassValue,
    Elements,
    External,
    FunctionValue,
    Instance,
    ModuleValue,
    Value,
    Values,
    item,
    union,
)
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Binding, CallSite, Class, Function, Kind, Scope, dotted

_BUILTINS = frozenset(dir(builtins))
# What is known of them in the body of the function that makes them, and not by its annotation.
_MADE = frozenset({External("fastapi.FastAPI()"), External("fastapi.Depends()"), External("fastapi.Security()")})
_PROPERTIES = ("property", "cached_property", "hybrid_property", "abstractproperty")


class Resolver(Hierarchy):
    """Answers about one project. Answers are remembered, so a question costs once."""

    def __init__(self, project: Project) -> None:
        super().__init__(project)
        self._memory = Memory(project.reading)

    # -- expressions

    def infer(self, node: ast.expr | None, scope: Scope) -> Values:
        """What an expression stands for, in the scope where it is evaluated."""
        if node is None or isinstance(node, ast.Constant | ast.Compare | ast.Lambda):
            return _literal(node)
        return self._memory.answer("infer", node, scope, lambda: self._infer(node, scope))

    def paths(self, node: ast.expr | None, scope: Scope) -> set[str]:
        """The paths of everything external that an expression can stand for."""
        return {value.path for value in self.infer(node, scope) if isinstance(value, External)}

    def targets(self, site: CallSite) -> Values:
        """What a call calls."""
        return self.infer(site.node.func, site.scope)

    def calls(self, site: CallSite, *paths: str) -> bool:
        """The call goes to one of these external functions."""
        return any(isinstance(value, External) and value.path in paths for value in self.targets(site))

    def _infer(self, node: ast.expr, scope: Scope) -> Values:  # noqa: C901, PLR0911, PLR0912 - one dispatch
        match node:
            case ast.Name():
                return self.name(node.id, scope)
            case ast.Attribute():
                if self._is_super(node.value) and isinstance(scope, Function) and (owner := self.enclosing_class(scope)):
                    return self.inherited(owner, node.attr)
                return self._each(self.infer(node.value, scope), lambda value: self.attribute(value, node.attr))
            case ast.Call():
                called = self.infer(node.func, scope)
                return self._each(called, lambda value: self.result(value, node, scope)) or held.taken(self, node, scope)
            case ast.Await():
                return self.infer(node.value, scope)
            case ast.Subscript():
                asked = outside.asked(self, node, scope)
                return asked or self._each(self.infer(node.value, scope), item) or held.under(self, node, scope)
            case ast.IfExp():
                return union((self.infer(node.body, scope), self.infer(node.orelse, scope)))
            case ast.BoolOp():
                return union(self.infer(value, scope) for value in node.values)
            case ast.NamedExpr() | ast.Starred():
                return self.infer(node.value, scope)
            case ast.List() | ast.Tuple() | ast.Set():
                return (Elements(union(self.infer(element, scope) for element in node.elts[:MOST])),)
            case ast.Dict():
                return (Elements(union(self.infer(value, scope) for value in node.values[:MOST])),)
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                return (Elements(self.infer(node.elt, scope)),)
            case ast.DictComp():
                return (Elements(self.infer(node.value, scope)),)
            case ast.BinOp(op=ast.Div()):
                return tuple(v for v in self.infer(node.left, scope) if isinstance(v, External) and v.path == "pathlib.Path()")
            case ast.BinOp(op=ast.BitOr()):  # a chain of LangChain's expression language answers as its parts do
                parts = union(self.infer(side, scope) for side in (node.left, node.right))
                return tuple(v for v in parts if isinstance(v, External) and v.path.startswith("langchain"))
            case ast.JoinedStr():
                return (External("str()"),)
            case _:
                return ()

    # -- names

    def name(self, name: str, scope: Scope) -> Values:
        """What a name stands for where it is used."""
        found = self.binding(name, scope)
        if found is not None:
            bindings, where = found
            values = union(self.bound(binding, where) for binding in bindings[:MOST])
            if isinstance(where, Function) and where.is_generator:
                return held.yielded(self, name, where, values) or values
            return values
        module = scope if isinstance(scope, Module) else scope.module
        starred = self._starred(name, module)
        if starred is not None:
            return starred
        return (External(name),) if name in _BUILTINS else ()

    def binding(self, name: str, scope: Scope) -> tuple[list[Binding], Scope] | None:
        """The bindings that a name refers to, with the scope that holds them; None when the module has none."""
        where: Scope = scope
        first = True
        while not isinstance(where, Module):
            visible = first or not isinstance(where, Class)  # a class's names are not visible in its methods
            if visible and name in where.bindings and not (isinstance(where, Function) and name in where.globals):
                return where.bindings[name], where
            where, first = where.parent, False
        return (where.bindings[name], where) if name in where.bindings else None

    def _starred(self, name: str, module: Module) -> Values | None:
        if not module.stars:
            return None
        return self._memory.answer(f"star {name}", module, module, lambda: self._star(name, module)) or None

    def _star(self, name: str, module: Module) -> Values:
        outside = []
        for star in module.stars:
            origin = self.project.find(star, module)
            if origin is None:
                outside.append(star)
                continue
            found = self.member_of(origin, name, submodules=False)
            if found:
                return found
        return (External(canonical(f"{outside[0]}.{name}")),) if len(outside) == 1 and name not in _BUILTINS else ()

    def bound(self, binding: Binding, scope: Scope) -> Values:
        """What one binding gives its name."""
        return self._memory.answer("bound", binding, scope, lambda: self._bound(binding, scope))

    def _bound(self, binding: Binding, scope: Scope) -> Values:  # noqa: PLR0911 - one dispatch
        match binding.kind:
            case Kind.IMPORT:
                module = scope if isinstance(scope, Module) else scope.module
                return self.imported(binding.module, binding.member, module)
            case Kind.FUNCTION | Kind.CLASS:
                return self._defined(binding)
            case Kind.PARAMETER:
                return self._parameter(binding, scope) if isinstance(scope, Function) else ()
            case Kind.WITH:
                return self._each(self.infer(binding.value, scope), self._entered)
            case Kind.LOOP:
                return self._each(self.infer(binding.value, scope), item) or held.part(self, binding, scope)
            case Kind.EXCEPT:
                caught = binding.annotation.elts if isinstance(binding.annotation, ast.Tuple) else [binding.annotation]
                return union(self.annotation(node, scope) for node in caught if node is not None)
            case _:
                declared, where = self.annotation(binding.annotation, scope), binding.scope or scope
                put = held.put_into(self, binding, scope, declared)
                if put or (declared and not hints.is_of_library(declared)):
                    return put or declared
                # Of a library's class the way to the object tells more: `rows: QueryApi = InfluxDBClient(url).query_api()`.
                made = self.infer(binding.value, where)
                if declared:
                    return union((declared, tuple(one for one in made if isinstance(one, External))))
                return made or held.part(self, binding, where)

    @staticmethod
    def _defined(binding: Binding) -> Values:
        if isinstance(binding.definition, Class):
            return (ClassValue(binding.definition),)
        if isinstance(binding.definition, Function):
            return (FunctionValue(binding.definition),)
        return ()

    def imported(self, module: str, member: str | None, importer: Module) -> Values:
        """What `from module import member` gives, or `import module` without a member."""
        found = self.project.find(module, importer)
        if member is None:
            return (ModuleValue(found),) if found else (External(module),)
        if found is not None and found is not importer:
            return self.member_of(found, member)
        submodule = self.project.find(f"{module}.{member}" if module else member, importer)
        if submodule is not None:
            return (ModuleValue(submodule),)
        return () if found or self.project.has_package(module, importer) else (External(canonical(f"{module}.{member}")),)

    def member_of(self, module: Module, name: str, *, submodules: bool = True) -> Values:
        """What a module's attribute stands for: its own names, what it re-exports, its submodules."""
        if name in module.bindings:
            return self.name(name, module)
        starred = self._starred(name, module)
        if starred:
            return starred
        if submodules and module.is_package:
            found = self.project.find(f"{module.name}.{name}" if module.name else name, module)
            if found is not None:
                return (ModuleValue(found),)
        return ()

    # -- parameters and annotations

    def _parameter(self, binding: Binding, function: Function) -> Values:  # noqa: PLR0911 - one answer per kind
        if not isinstance(binding.node, ast.arg):
            return ()
        first = next(function.parameters, None)
        owner = function.owner
        if owner is not None and first is not None and first[0] is binding.node and not function.decorated("staticmethod"):
            if function.decorated("classmethod"):
                return (ClassValue(owner),)
            # A mixin's `self: Repository` says beside what it is mixed.
            return union(((Instance(owner),), self.annotation(binding.annotation, function.parent)))
        outer = function.parent  # defaults and annotations are evaluated outside of the function
        declared = self.annotation(binding.annotation, outer)
        if declared:
            return declared
        if isinstance(binding.value, ast.Call):
            provider = self.provider(binding.value, outer)
            return self.provided(provider, outer) if provider is not None else self.infer(binding.value, outer)
        is_open = binding.annotation is None and binding.value is None
        if is_open or (_is_none(binding.value) and hints.is_anything(self, binding.annotation, outer)):
            return callers.given(self, binding.node, function)
        return ()

    def annotation(self, node: ast.expr | None, scope: Scope) -> Values:
        """What an annotated name holds: an instance of the class that the annotation names."""
        if node is None:
            return ()
        return self._memory.answer("annotation", node, scope, lambda: hints.values(self, node, scope))

    def provider(self, call: ast.expr | None, scope: Scope) -> ast.expr | None:
        """What `Depends(provider)` depends on; None when the expression is no dependency."""
        if not isinstance(call, ast.Call) or not self.paths(call.func, scope) & {"fastapi.Depends", "fastapi.Security"}:
            return None
        if call.args:
            return call.args[0]
        return next((k.value for k in call.keywords if k.arg == "dependency"), None)

    def provided(self, provider: ast.expr, scope: Scope) -> Values:
        """What a dependency gives to the parameter that asks for it."""
        return self._each(self.infer(provider, scope), self._supplied)

    def _supplied(self, value: Value) -> Values:
        if isinstance(value, FunctionValue):
            found = self.returns(value.definition)
            return self._each(found, item) if value.definition.is_generator else found
        if isinstance(value, ClassValue):
            return (Instance(value.definition),)
        if isinstance(value, Instance):
            call = self.method(value.definition, "__call__")
            return self._supplied(FunctionValue(call)) if call else ()
        return (External(canonical(f"{value.path}()")),) if isinstance(value, External) else ()

    # -- calls and attributes

    def returns(self, function: Function) -> Values:
        """What calling a function gives: of a generator, its elements."""
        return self._memory.answer("returns", function, function, lambda: self._returns(function))

    def returned_at(self, function: Function, position: int) -> Values:
        """What a function that returns several things returns at that position."""
        return self._memory.answer(f"returns {position}", function, function, lambda: held.returned(self, function, position))

    def _returns(self, function: Function) -> Values:
        declared = self.annotation(function.node.returns, function.parent)
        if function.is_generator:
            if any(isinstance(value, Elements) and value.of for value in declared):
                return declared
            found = union(self.infer(node.value, function) for node in function.of(ast.Yield))
            return (Elements(found or declared),)
        if declared and _MADE.isdisjoint(declared):
            return declared
        found = union(self.infer(node.value, function) for node in function.of(ast.Return))
        # `-> FastAPI` says what it is, the body where it was made. A function makes one app, but a router for each call.
        made = {value: value for value in found}
        return tuple(made.get(value, value) for value in declared) or found

    def result(self, callee: Value, call: ast.Call, scope: Scope) -> Values:
        """What a call gives when this is what it calls."""
        if isinstance(callee, FunctionValue):
            return self._of_receiver(callee) or self.returns(callee.definition)
        if isinstance(callee, ClassValue):
            return (Instance(callee.definition, (call, scope)),)
        if isinstance(callee, Instance):
            function = self.method(callee.definition, "__call__")
            return self.returns(function) if function else ()
        return outside.result(self, callee, call, scope) if isinstance(callee, External) else ()

    @staticmethod
    def _of_receiver(callee: FunctionValue) -> Values:
        """What a method gives that is annotated with `Self`: an instance of the class that it was reached through."""
        if callee.receiver is None:
            return ()
        itself, held = hints.own_type(callee.definition.node.returns)
        made = (Instance(callee.receiver),)
        return made if itself else (Elements(made),) if held else ()

    def attribute(self, value: Value, name: str) -> Values:
        """What an attribute of a value stands for."""
        if isinstance(value, External):
            carried = self._carried(name) if state.is_state(value.path) else ()
            return carried or (External(canonical(f"{value.path}.{name}"), value.call),)
        if isinstance(value, ModuleValue):
            return self.member_of(value.module, name)
        if isinstance(value, ClassValue):
            return self._of_class(value.definition, name, instance=False)
        if isinstance(value, Instance):
            return self._of_class(value.definition, name, instance=True)
        return ()

    def _carried(self, name: str) -> Values:
        service = self.project.service
        return self._memory.answer(f"state {name}", self.project, service[0], lambda: state.held(self, name)) if service else ()

    def _of_class(self, defined: Class, name: str, *, instance: bool) -> Values:
        for base in self.mro(defined):
            if isinstance(base, External):
                if base.path in FORMS:
                    continue
                return (External(canonical(f"{base.path}().{name}" if instance else f"{base.path}.{name}")),)
            found = self._own_attribute(base, name, defined, instance=instance)
            if found:
                return found
        return ()

    def _own_attribute(self, base: Class, name: str, receiver: Class, *, instance: bool) -> Values:
        found: list[Values] = []
        for binding in base.bindings.get(name, ()):
            if isinstance(binding.definition, Function):
                if binding.definition.decorated(*_PROPERTIES):
                    found.append(self.returns(binding.definition) if instance else ())
                else:
                    found.append((FunctionValue(binding.definition, receiver),))
            else:
                provider = self.provider(binding.value, base)
                declared = self.bound(binding, base) if binding.annotation is not None or provider is None else ()
                found.append(declared or (self.provided(provider, base) if provider is not None else ()))
        found += [
            self.bound(binding, function)
            for binding, function in base.instance.get(name, ())
            if instance or function.decorated("classmethod")
        ]
        return union(found)

    def _entered(self, value: Value) -> Values:
        if isinstance(value, External):
            return (External(canonical(f"{value.path}.__enter__()"), value.call),)
        if isinstance(value, Instance):
            enter = self.method(value.definition, "__enter__") or self.method(value.definition, "__aenter__")
            return (self.returns(enter) if enter else ()) or (value,)
        return value.of if isinstance(value, Elements) else ()

    # -- classes

    def bases(self, defined: Class) -> Values:
        """The direct bases, generic parameters left out."""
        return self._memory.answer(
            "bases",
            defined,
            defined,
            lambda: union(
                self.infer(b.value if isinstance(b, ast.Subscript) else b, defined.parent) for b in defined.node.bases
            ),
        )

    @staticmethod
    def _is_super(node: ast.expr) -> bool:
        return isinstance(node, ast.Call) and dotted(node.func) == "super"

    @staticmethod
    def _each(values: Values, answer: Callable[[Value], Values]) -> Values:
        return values and union(answer(value) for value in values)


def _is_none(node: ast.expr | None) -> bool:
    return node is None or (isinstance(node, ast.Constant) and node.value is None)


def _literal(node: ast.expr | None) -> Values:
    return (External("str()"),) if isinstance(node, ast.Constant) and isinstance(node.value, str) else ()
