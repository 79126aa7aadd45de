"""What calling something of a library gives, where its arguments say so. What the path alone tells is in `external`."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from fastness.tool.project.names import held
from fastness.tool.project.names.external import canonical
from fastness.tool.project.names.values import External, Values, item, union
from fastness.tool.project.source.symbols import Scope

if TYPE_CHECKING:
    from fastness.tool.project.names.resolve import Resolver

# What runs a function in a thread, with the position of the function; its result is the function's.
OFFLOADED = {
    "asyncio.to_thread": 0,
    "anyio.to_thread.run_sync": 0,
    "starlette.concurrency.run_in_threadpool": 0,
    "asyncio.loop.run_in_executor": 1,
}
_SAME_FUNCTION = frozenset({"functools.partial", "contextlib.contextmanager", "contextlib.asynccontextmanager"})
_NEXT = frozenset({"next", "anext"})
# Of `dependency_injector`: an attribute of a container that makes what it was given, and the mark that asks for one.
_PROVIDER = re.compile(r"dependency_injector\.providers\.(?:\w*Singleton|Factory|Resource|Callable|Coroutine)\(\)")
_ASKED = frozenset({"dependency_injector.wiring.Provide", "dependency_injector.wiring.Closing"})


def result(resolver: Resolver, callee: External, call: ast.Call, scope: Scope) -> Values:  # noqa: PLR0911 - one answer per library
    """What a call of something external gives."""
    first = call.args[0] if call.args else None
    if callee.path == "typing.cast" and first is not None:
        return resolver.annotation(first, scope)
    if callee.path in _SAME_FUNCTION and first is not None:
        return resolver.infer(first, scope)
    if callee.path in _NEXT:
        return union(item(value) for value in resolver.infer(first, scope))
    if callee.path in held.COPIES and (copied := held.copied(resolver, call, scope)):
        return copied
    position = OFFLOADED.get(callee.path)
    if position is not None and len(call.args) > position:
        return union(resolver.result(value, call, scope) for value in resolver.infer(call.args[position], scope))
    if callee.path == "sqlalchemy.orm.sessionmaker":
        made = next((k.value for k in call.keywords if k.arg == "class_"), None)
        if resolver.paths(made, scope) & {"sqlalchemy.ext.asyncio.AsyncSession"}:
            return (External("sqlalchemy.ext.asyncio.async_sessionmaker()", (call, scope)),)
    provided = of_provider(resolver, callee)
    if provided:
        return union(resolver.result(value, call, scope) for value in provided)
    return (External(canonical(f"{callee.path}()"), (call, scope)),)


def of_provider(resolver: Resolver, provider: External) -> Values:
    """What a provider of a container calls: of `providers.Factory(Service)` the class."""
    if provider.call is None or not _PROVIDER.fullmatch(provider.path):
        return ()
    call, scope = provider.call
    return resolver.infer(call.args[0], scope) if call.args else ()


def asked(resolver: Resolver, mark: ast.Subscript, scope: Scope) -> Values:
    """What `Provide[Container.service]` asks for."""
    if not resolver.paths(mark.value, scope) & _ASKED:
        return ()
    named = resolver.infer(mark.slice, scope)
    return union(of_provider(resolver, value) for value in named if isinstance(value, External))
