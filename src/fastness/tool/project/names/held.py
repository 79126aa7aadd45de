"""What collections hold, where no annotation says it: what is put into them, taken out of them, and taken apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fastness.tool.project.names import hints, state
from fastness.tool.project.names.values import Elements, External, FunctionValue, Instance, Values, is_object, item, union
from fastness.tool.project.source.symbols import Binding, Class, Function, Kind, Scope, last_name
from fastness.tool.project.source.walk import own

if TYPE_CHECKING:
    from fastness.tool.project.names.resolve import Resolver

_COLLECTIONS = frozenset({
    "dict", "list", "set", "defaultdict", "deque", "OrderedDict", "WeakValueDictionary", "WeakSet", "Dict", "List", "Set",
})  # fmt: skip
COPIES = frozenset({"list", "tuple", "set", "sorted", "reversed", "iter"})
_TAKES, _KEEPS = frozenset({"get", "pop", "popleft", "setdefault"}), frozenset({"values", "copy"})
_TYPED = ("typing.TypedDict", "typing_extensions.TypedDict")
_MOST_PUT = 20  # places that put something into one collection; what more of them put is as a rule of the same classes


def put_into(resolver: Resolver, binding: Binding, scope: Scope, declared: Values) -> Values:
    """Objects that the module puts into the collection that a name is bound to, when nothing else says what it holds.

    Args:
        declared: what the annotation says.
    """
    module = scope if not hasattr(scope, "module") else scope.module
    if not module.put or not _is_collection(binding.value) or not all(_says_nothing(value) for value in declared):
        return ()
    resolver.project.reading.body(module)  # a literal that is put there leads nowhere
    found = union(item(value) for value in resolver.infer(binding.value, scope) if isinstance(value, Elements))
    for target in _targets(binding):
        owner = scope if isinstance(scope, Class) else scope.owner if isinstance(scope, Function) else None
        name = last_name(target) if isinstance(target, ast.Name | ast.Attribute) else ""
        of_object = owner is not None and (isinstance(target, ast.Attribute) or isinstance(scope, Class))
        places = [
            (value, where)
            for value, where in module.put.get(f".{name}" if of_object else name, ())
            if (resolver.enclosing_class(where) is owner if of_object else _holds(resolver, name, where, scope))
        ]
        found = union((found, *(resolver.infer(*place) for place in places[:_MOST_PUT])))
    objects = tuple(value for value in found if is_object(value))
    return (Elements(objects),) if objects else ()


def _targets(binding: Binding) -> Iterator[ast.expr | None]:
    """The names and attributes that are bound to the value."""
    if not isinstance(binding.node, ast.Assign):
        yield getattr(binding.node, "target", None)
        return
    for target in binding.node.targets:
        if isinstance(target, ast.Tuple | ast.List) and isinstance(binding.node.value, ast.Tuple | ast.List):
            pairs = zip(target.elts, binding.node.value.elts, strict=False)
            yield from (one for one, value in pairs if value is binding.value)
        else:
            yield target


def _holds(resolver: Resolver, name: str, where: Scope, scope: Scope) -> bool:
    found = resolver.binding(name, where)
    return found is not None and found[1] is scope


def _is_collection(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Call):
        return last_name(node.func) in _COLLECTIONS
    return isinstance(node, ast.Dict | ast.List | ast.Set)


def _says_nothing(value: object) -> bool:
    return value == Elements(()) or (isinstance(value, External) and value.last in _COLLECTIONS)


def under(resolver: Resolver, node: ast.Subscript, scope: Scope) -> Values:
    """What a dict with declared keys, a `TypedDict`, holds under one of them."""
    key = node.slice.value if isinstance(node.slice, ast.Constant) else None
    return union(
        resolver.annotation(binding.annotation, value.definition)
        for value in (resolver.infer(node.value, scope) if isinstance(key, str) else ())
        if isinstance(value, Instance) and resolver.derives(value.definition, *_TYPED)
        for name, binding in value.definition.fields
        if name == key
    )


def taken(resolver: Resolver, call: ast.Call, scope: Scope) -> Values:
    """What a method of a collection gives: one of its elements, or all of them."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in _TAKES | _KEEPS:
        return ()
    held = [value for value in resolver.infer(call.func.value, scope) if isinstance(value, Elements)]
    return union(value.of if call.func.attr in _TAKES else (value,) for value in held)


def copied(resolver: Resolver, call: ast.Call, scope: Scope) -> Values:
    """What `list(collection)` holds."""
    return tuple(value for value in resolver.infer(call.args[0], scope) if isinstance(value, Elements)) if call.args else ()


def part(resolver: Resolver, binding: Binding, scope: Scope) -> Values:
    """What one of several names gets that are bound at once: of `number, hub = make()` what the function returns there."""
    if binding.unpacked is None:
        return ()
    node, position = binding.unpacked
    call = node.value if isinstance(node, ast.Await) else node
    if not isinstance(call, ast.Call) or binding.kind not in {Kind.ASSIGN, Kind.LOOP}:
        return ()
    if binding.kind is Kind.LOOP:
        return _of_turn(resolver, call, position, scope)
    found = []
    for value in resolver.infer(call.func, scope):
        if isinstance(value, FunctionValue) and not value.definition.is_generator:
            found.append(resolver.returned_at(value.definition, position))
        elif isinstance(value, External) and value.path == "asyncio.gather" and position < len(call.args):
            found.append(resolver.infer(call.args[position], scope))
    return union(found)


def _of_turn(resolver: Resolver, call: ast.Call, position: int, scope: Scope) -> Values:
    """Of `for name, worker in workers.items()` the worker, and of `enumerate(workers)`."""
    if position != 1:
        return ()
    while last_name(call.func) in COPIES and call.args and isinstance(inner := call.args[0], ast.Call):
        call = inner
    of: ast.expr | None = None
    if isinstance(call.func, ast.Attribute) and call.func.attr == "items" and not call.args:
        of = call.func.value
    elif isinstance(call.func, ast.Name) and call.func.id == "enumerate" and call.args:
        of = call.args[0]
    values = resolver.infer(of, scope) if of is not None else ()
    return union(item(value) for value in values if isinstance(value, Elements))


def yielded(resolver: Resolver, name: str, function: Function, found: Values) -> Values:
    """What a generator's annotation says of a name that it yields, when the name itself leads to nothing that is known.

    Args:
        found: what the name stands for.
    """
    is_open = all(isinstance(value, External) and state.is_carried(value.path) for value in found)
    if (
        not is_open
        or function.node.returns is None
        or not any(isinstance(node.value, ast.Name) and node.value.id == name for node in function.of(ast.Yield))
    ):
        return ()
    declared = resolver.annotation(function.node.returns, function.parent)
    return union(value.of for value in declared if isinstance(value, Elements))


def returned(resolver: Resolver, function: Function, position: int) -> Values:
    """What a function returns at a position, by its annotation or by the tuples in its body."""
    declared = function.node.returns
    if isinstance(declared, ast.Subscript) and last_name(declared.value) in {"tuple", "Tuple"}:
        inside = hints.arguments(declared)
        found = resolver.annotation(inside[position], function.parent) if position < len(inside) else ()
        if found:
            return found
    returned = [node.value for node in own(function.node.body) if isinstance(node, ast.Return)]
    tuples = [node for node in returned if isinstance(node, ast.Tuple) and position < len(node.elts)]
    return union(
        resolver.infer(node.elts[position], function)
        for node in tuples
        if not any(isinstance(one, ast.Starred) for one in node.elts)
    )
