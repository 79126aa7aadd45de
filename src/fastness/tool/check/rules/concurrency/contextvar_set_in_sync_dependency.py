"""A context variable is set in a dependency that runs in a thread.

FastAPI runs a dependency that is a plain `def` in a thread pool, in a copy of the request's context. What it sets there, a
tenant, a user or a request id, is gone when it returns: the endpoint, its logs and its queries see the default, or in a
library that falls back to one, another tenant's data. Resetting it after a `yield` raises, since that is yet another copy.

Make the dependency `async def`: it has no reason to be in a thread, and then runs in the request's own context.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Outward
from fastness.tool.project.source.symbols import Function

_SETS = {
    "contextvars.ContextVar().set", "structlog.contextvars.bind_contextvars", "structlog.contextvars.bound_contextvars",
}  # fmt: skip
_RESETS = {"reset", "unbind_contextvars", "reset_contextvars"}


@rule(
    severity=Severity.WARNING, practice="2.4", fix=Fix.REVIEW, help="make the dependency `async def`, or set it in a middleware"
)
def check(service: Service) -> Iterator[Found]:
    chains = service.graph.nearest(_threaded(service), _kind, through=lambda edge: not edge.target.is_async)
    for function, kinds in sorted(chains.items(), key=lambda item: (item[0].module.path, item[0].line)):
        chain = kinds["sets"]
        setter = chain.edges[-1].target if chain.edges else function
        if not function.is_generator and any(site.name in _RESETS for site in setter.calls):
            continue  # it is set for the work inside, and taken back
        steps = [proof(edge.site.scope, edge.site.node, f"calls {edge.target.qualified}") for edge in chain.edges]
        last = proof(chain.last.site.scope, chain.last.site.node, "sets the context variable, in the thread's copy")
        yield found(
            function,
            function.node,
            f"{function.qualified} runs in a thread, so the context variable that it sets is lost when it returns",
            *steps,
            last,
        )


def _threaded(service: Service) -> list[Function]:
    """The dependencies of requests that are plain functions."""
    found_: dict[Function, None] = {}
    for route in service.routes:
        for dependency in service.tree(route):
            target = dependency.target
            if isinstance(target, Function) and not target.is_async and not target.module.is_test:
                found_[target] = None
    return list(found_)


def _kind(call: Outward) -> str | None:
    return "sets" if call.target.path in _SETS else None


EXAMPLES = [
    Bad("""
        # file: app/context.py
        from contextvars import ContextVar

        tenant = ContextVar("tenant", default=None)

        def use(name):
            tenant.set(name)
        # file: app/main.py
        from typing import Annotated
        from fastapi import Depends, FastAPI, Header
        from app import context

        app = FastAPI()

        def set_tenant(x_tenant: Annotated[str, Header()]):  # found
            context.use(x_tenant)

        def scoped():  # found
            token = context.tenant.set("a")
            yield
            context.tenant.reset(token)

        @app.get("/a", dependencies=[Depends(set_tenant)])
        async def a(_=Depends(scoped)): ...
    """),
    Good(
        """
        from contextvars import ContextVar
        from fastapi import Depends, FastAPI

        tenant = ContextVar("tenant")
        app = FastAPI()

        async def set_tenant():
            tenant.set("a")

        @app.get("/a", dependencies=[Depends(set_tenant)])
        def a(): ...
    """,
        "an async dependency runs in the request's context",
    ),
    Good(
        """
        from contextvars import ContextVar
        from fastapi import Depends, FastAPI

        tenant = ContextVar("tenant")
        app = FastAPI()

        def permitted():
            token = tenant.set("a")
            try:
                return tenant.get()
            finally:
                tenant.reset(token)

        @app.get("/a", dependencies=[Depends(permitted)])
        def a(): ...
    """,
        "it is set for the work inside and taken back",
    ),
    Good(
        """
        from contextvars import ContextVar
        from fastapi import Depends, FastAPI

        tenant = ContextVar("tenant")
        app = FastAPI()

        def use(name):
            tenant.set(name)

        async def set_tenant():
            use("a")

        class Cache:
            def set(self, key): ...

        cache = Cache()

        def warm():
            cache.set("key")

        @app.get("/a", dependencies=[Depends(set_tenant), Depends(warm)])
        def a():
            use("b")
    """,
        "a plain function that an async dependency calls stays in its context; a cache's `set` is another; an endpoint may set",
    ),
]
