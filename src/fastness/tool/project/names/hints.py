"""What annotations say about the values they annotate. How names in them are found is the resolver's work."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from fastness.tool.project.names.values import ClassValue, Elements, External, Instance, ModuleValue, Value, Values
from fastness.tool.project.source.symbols import Kind, Scope, last_name

if TYPE_CHECKING:
    from fastness.tool.project.names.resolve import Resolver

_NOTHING = frozenset({
    "typing.Any", "object", "None", "typing.Self", "typing_extensions.Self", "typing.Callable", "collections.abc.Callable",
    "typing.TypeVar", "typing.TypeAlias", "typing_extensions.TypeAlias",
})  # fmt: skip
_ANYTHING = frozenset({"typing.Any", "typing_extensions.Any", "object"})
_INNER = frozenset({
    "Optional", "Union", "ClassVar", "Final", "Mapped", "Awaitable", "Coroutine", "Required", "NotRequired", "Injected",
    "FromDishka", "Inject", "Provide",
})  # fmt: skip
_ELEMENTS = frozenset({
    "list", "List", "set", "Set", "frozenset", "FrozenSet", "tuple", "Tuple", "Sequence", "Iterable", "Collection", "Iterator",
    "Generator", "AsyncIterator", "AsyncGenerator", "AsyncIterable", "deque", "Deque", "AbstractSet", "MutableSequence",
    "AbstractContextManager", "AbstractAsyncContextManager", "ContextManager", "AsyncContextManager",
})  # fmt: skip
_MAPPINGS = frozenset({"dict", "Dict", "Mapping", "MutableMapping", "defaultdict", "DefaultDict", "OrderedDict"})


def values(resolver: Resolver, node: ast.expr, scope: Scope) -> Values:
    """What a name with this annotation holds."""
    if isinstance(node, ast.Constant):
        inside = parsed(node)
        return resolver.annotation(inside, scope) if inside is not None else ()
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _both(resolver.annotation(node.left, scope), resolver.annotation(node.right, scope))
    if isinstance(node, ast.Subscript):
        return _subscript(resolver, node, scope)
    aliased = alias(resolver, node, scope)
    if aliased is not None:
        return resolver.annotation(*aliased)
    found: Values = ()
    for value in resolver.infer(node, scope):
        if isinstance(value, External) and value.path == "typing.NewType()" and value.call and len(value.call[0].args) > 1:
            found = _both(found, resolver.annotation(value.call[0].args[1], value.call[1]))
        else:
            found = _both(found, _instance(value))
    return found


def is_anything(resolver: Resolver, node: ast.expr | None, scope: Scope, *, deep: int = 5) -> bool:
    """The annotation leaves open what it is: `Any`, `Any | None`, another name for it.

    Args:
        deep: how many names may lie on the way; those that stand for each other end there.
    """
    parts: list[ast.expr | None]
    if isinstance(node, ast.Constant) and node.value is None:
        return True
    if isinstance(node, ast.Constant):
        parts = [parsed(node)]
    elif isinstance(node, ast.BinOp):
        parts = [node.left, node.right]
    elif isinstance(node, ast.Subscript):
        parts = [*arguments(node)] if last_name(node.value) in {"Optional", "Union"} else [None]
    elif not isinstance(node, ast.Name | ast.Attribute) or not deep or resolver.annotation(node, scope):
        return False
    else:
        aliased = alias(resolver, node, scope)
        if aliased is None:
            return not resolver.paths(node, scope).isdisjoint(_ANYTHING)
        return is_anything(resolver, *aliased, deep=deep - 1)
    return all(is_anything(resolver, part, scope, deep=deep) for part in parts)


def is_of_library(declared: Values) -> bool:
    """An annotation names classes that the project does not define, and that are not built in."""
    return all(isinstance(value, External) and "." in value.path for value in declared)


def own_type(node: ast.expr | None) -> tuple[bool, bool]:
    """An annotation says `Self`, as it stands or as what something holds: the object itself, or elements that are one."""
    if isinstance(node, ast.Subscript):
        return False, last_name(node.value) in _ELEMENTS and own_type(arguments(node)[0])[0]
    return node is not None and last_name(node) == "Self", False


def alias(resolver: Resolver, node: ast.expr, scope: Scope, *, stars: int = 5) -> tuple[ast.expr, Scope] | None:
    """The annotation that a name abbreviates, as in `SessionDep = Annotated[Session, Depends(get_session)]`.

    Args:
        stars: how many star imports may lie on the way; modules that star-import each other end there.
    """
    name = ""
    where: Scope = scope
    if isinstance(node, ast.Name):
        name = node.id
    elif isinstance(node, ast.Attribute):
        module = next((v.module for v in resolver.infer(node.value, scope) if isinstance(v, ModuleValue)), None)
        if module is None:
            return None
        name, where = node.attr, module
    for _ in range(10):  # re-exports
        found = resolver.binding(name, where) if name else None
        if found is None:
            return _starred_alias(resolver, name, where, stars - 1) if stars else None
        binding, holder = found[0][-1], found[1]
        if binding.kind is Kind.ASSIGN:
            value = binding.value
            abbreviates = isinstance(value, ast.Subscript) or (isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr))
            return (value, holder) if value is not None and abbreviates else None
        if binding.kind is not Kind.IMPORT or binding.member is None:
            return None
        importer = holder if not hasattr(holder, "module") else holder.module
        origin = resolver.project.find(binding.module, importer)
        if origin is None:
            return None
        name, where = binding.member, origin
    return None


def _starred_alias(resolver: Resolver, name: str, scope: Scope, stars: int) -> tuple[ast.expr, Scope] | None:
    module = scope if not hasattr(scope, "module") else scope.module
    for star in module.stars:
        origin = resolver.project.find(star, module)
        if origin is not None and name in origin.bindings:
            return alias(resolver, ast.Name(name), origin, stars=stars)
    return None


def arguments(node: ast.Subscript) -> list[ast.expr]:
    """What stands between the brackets; of `tuple[()]` the empty tuple."""
    return (list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else []) or [node.slice]


def _subscript(resolver: Resolver, node: ast.Subscript, scope: Scope) -> Values:  # noqa: PLR0911 - one answer per form
    base = resolver.infer(node.value, scope)
    inside = arguments(node)
    name = next((value.last for value in base if isinstance(value, External)), "")
    if name == "Annotated":
        declared = resolver.annotation(inside[0], scope)
        if declared:
            return declared
        for metadata in inside[1:]:
            provider = resolver.provider(metadata, scope)
            if provider is not None:
                return resolver.provided(provider, scope)
        return ()
    if name in _INNER:
        found: Values = ()
        for argument in inside if name == "Union" else inside[-1:]:
            found = _both(found, resolver.annotation(argument, scope))
        return found
    if name in _ELEMENTS:
        return (Elements(resolver.annotation(inside[0], scope)),)
    if name in _MAPPINGS:
        return (Elements(resolver.annotation(inside[-1], scope)),)
    if name in {"type", "Type"}:
        return tuple(
            ClassValue(value.definition) for value in resolver.annotation(inside[0], scope) if isinstance(value, Instance)
        )
    found = ()
    for value in base:
        found = _both(found, _instance(value))
    return found


def _instance(value: Value) -> Values:
    if isinstance(value, ClassValue):
        return (Instance(value.definition),)
    if isinstance(value, External) and value.path not in _NOTHING and not value.path.endswith(")"):
        return (External(f"{value.path}()"),)
    return ()


def _both(left: Values, right: Values) -> Values:
    return tuple(dict.fromkeys((*left, *right)))


def parsed(node: ast.Constant) -> ast.expr | None:
    """The annotation inside a quoted one, its nodes at the place of the quotes."""
    if not isinstance(node.value, str):
        return None
    try:
        inside = ast.parse(node.value, mode="eval").body
    except (SyntaxError, ValueError):
        return None
    for inner in ast.walk(inside):
        if "lineno" in inner._attributes:
            ast.copy_location(inner, node)
    return inside
