"""A lower layer knows the layer above it.

A service that raises `HTTPException` can be called by no job and no command; one that imports from the routes cannot be
loaded without the web framework, and the next import the other way round is a cycle. A domain that inherits from the
database's classes cannot change without it.

Raise exceptions of the domain, and let the endpoint or an exception handler translate them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from pathlib import PurePosixPath

from fastness.tool.check.knowledge.facts.imports import Import, graph
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import FunctionValue
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Function

_LOWER = frozenset({"services", "service", "domain", "domains", "crud", "repositories", "repository", "usecases", "use_cases",
                    "entities", "dal", "dao"})  # fmt: skip
_UPPER = frozenset({"api", "routes", "routers", "endpoints", "views", "controllers"})
_ROUTES = frozenset({"route", "router", "endpoint", "view", "controller"})
_WEB = frozenset({"HTTPException", "APIRouter", "JSONResponse"})
_DATA = frozenset({"models", "db", "database", "core"})
_PURE = frozenset({"domain", "entities"})
_DATABASE = re.compile(r"^(?:sqlalchemy|sqlmodel|tortoise|pymongo|motor|redis)(?:\.|$)")


@rule(severity=Severity.ERROR, practice="1.2", help="raise an exception of the domain, and translate it in the layer above")
def check(service: Service) -> Iterator[Found]:
    routed = {route.handler.module for route in service.routes}
    whole = {parent for module in service.project.service for parent in _around_layers(PurePosixPath(module.path))}
    upper = {PurePosixPath(module.path).parent for module in routed if PurePosixPath(module.path).parent.name in _UPPER} - whole
    features = {folder for module in routed for folder in _around_features(PurePosixPath(module.path))}
    edges = graph(service.project)
    stored: dict[str, list[Found]] = {}
    for module in service.project.service:
        if module in routed:
            continue
        if not _is_lower(module, features):
            if _holds_models(module) and module.calls_by_name.get("HTTPException"):
                yield from _outside(module)
            continue
        imports = edges.get(module, ())
        upwards = list(_upwards(module, imports, routed, upper))
        yield from upwards or _of_dependencies(service, module, imports)
        yield from _outside(module)
        for library, one in _of_database(module, features):
            stored.setdefault(library, []).append(one)
    # That the domain's classes are the tables is one decision, however many classes it has.
    for group in stored.values():
        first, *others = sorted(group, key=lambda one: one.path)
        evidence = [Evidence(one.path, one.line, one.message) for one in others]
        yield replace(first, evidence=(*first.evidence, *evidence), count=1 + len(others))


def _around_layers(path: PurePosixPath) -> Iterator[PurePosixPath]:
    """The packages that hold a lower layer and are therefore none themselves, whatever their names: `api/services/`."""
    folders = list(path.parents)
    yield from (above for folder in folders if folder.name in _LOWER | _DATA for above in folder.parents)


def _around_features(path: PurePosixPath) -> Iterator[PurePosixPath]:
    """The folders named like a lower layer that hold features with routes of their own: `domains/orders/controllers/`."""
    parts = path.parts
    place = max((number for number, part in enumerate((*parts[:-1], path.stem)) if part in _UPPER | _ROUTES), default=0)
    yield from (PurePosixPath(*parts[: number + 1]) for number in range(place - 1) if parts[number] in _LOWER)


def _upwards(
    module: Module, imports: Iterable[Import], routed: AbstractSet[Module], upper: AbstractSet[PurePosixPath]
) -> Iterator[Found]:
    for edge in imports:
        parent = PurePosixPath(edge.imported.path).parent
        own = PurePosixPath(module.path).parent
        beside = parent in upper and parent not in (own, *own.parents)
        if edge.imported in routed or beside:
            evidence = proof(edge.imported, edge.imported.tree, "part of the HTTP layer")
            yield found(module, edge.node, f"{module.name} imports {edge.imported.name}, which is above it", evidence)
            return


def _of_dependencies(service: Service, module: Module, imports: Iterable[Import]) -> Iterator[Found]:
    """What FastAPI injects and answers with 401 is part of the HTTP layer, whatever the folder is called."""
    for edge in imports:
        if edge.member is None or not edge.imported.mentions("Depends", "HTTPException", "Security"):
            continue
        for value in service.resolver.imported(edge.imported.name, edge.member, module):
            function = value.definition if isinstance(value, FunctionValue) else None
            if function is not None and function.module is edge.imported and _is_dependency(service, function):
                evidence = proof(function, function.node, "a dependency of endpoints")
                message = f"{module.name} imports {function.name}, which only a request can give"
                yield found(module, edge.node, message, evidence)
                return


def _is_dependency(service: Service, function: Function) -> bool:
    return bool(service.parameters(function)) and any(site.name == "HTTPException" for site in function.calls)


def _outside(module: Module) -> Iterator[Found]:
    web = [(member, node) for name, member, node, _, checking in module.imports
           if not checking and member in _WEB and name.partition(".")[0] in {"fastapi", "starlette"}]  # fmt: skip
    if web:
        evidence = [proof(site.scope, site.node, "raised here") for site in module.calls_by_name.get("HTTPException", ())[:3]]
        names = ", ".join(sorted({str(member) for member, _ in web}))
        yield found(module, web[0][1], f"{module.name} speaks HTTP: {names}", *evidence)


def _of_database(module: Module, features: AbstractSet[PurePosixPath]) -> Iterator[tuple[str, Found]]:
    """What a module of the domain imports of the database's library, with the library."""
    if _PURE & set(_layers(module, features)[:-1]) and not _is_adapter(module):
        for name, _, node, _, checking in module.imports:
            if not checking and _DATABASE.match(name):
                yield name.partition(".")[0], found(module, node, f"the domain module {module.name} imports {name}")
                return


def _is_lower(module: Module, features: AbstractSet[PurePosixPath]) -> bool:
    return bool(_LOWER & set(_layers(module, features)))


def _layers(module: Module, features: AbstractSet[PurePosixPath]) -> list[str]:
    """The names of the folders that can be layers, and of the file."""
    path = PurePosixPath(module.path)
    return [*(folder.name for folder in reversed(path.parents) if folder not in features), path.stem]


def _holds_models(module: Module) -> bool:
    path = PurePosixPath(module.path)
    return bool({"models", "model"} & {*path.parts[:-1], path.stem})


def _is_adapter(module: Module) -> bool:
    return bool(
        {"adapter", "adapters", "infra", "infrastructure", "repository", "repositories"} & set(PurePosixPath(module.path).parts)
    )


EXAMPLES = [
    Good(
        """
        # file: app/service/masking.py
        from app.api.errors import Invalid
        # file: app/api/errors.py
        class Invalid(Exception): ...
        # file: app/api/main.py
        from fastapi import FastAPI
        from app.api.models import user

        app = FastAPI()

        @app.get("/")
        def root(): ...
        # file: app/api/models/user.py
        class User: ...
    """,
        "a package that is named api and holds the models too is the whole application",
    ),
    Bad("""
        # file: app/services/users.py
        from fastapi import HTTPException  # found

        def find():
            raise HTTPException(404)
        # file: app/services/orders.py
        from app.api.validators import positive  # found
        # file: app/api/validators.py
        def positive(): ...
        # file: app/api/users.py
        from fastapi import APIRouter

        router = APIRouter()

        @router.get("/")
        def users(): ...
        # file: app/domain/user.py
        from sqlalchemy import Column
        # file: app/domain/order.py
        from sqlalchemy.orm import Mapped  # found
        # file: app/domain/stock.py
        from redis import Redis  # found
        # file: app/models/order.py
        from fastapi import HTTPException  # found
        from sqlalchemy.orm import DeclarativeBase

        class Base(DeclarativeBase): ...

        class Order(Base):
            __tablename__ = "orders"

            @classmethod
            def of(cls, session, number):
                if session.get(cls, number) is None:
                    raise HTTPException(404)
    """),
    Good("""
        # file: api/v1/services/users.py
        from typing import TYPE_CHECKING
        from api.core.base import Service

        if TYPE_CHECKING:
            from fastapi import HTTPException
        # file: api/core/base.py
        class Service: ...
        # file: api/v1/routes/users.py
        from fastapi import APIRouter, HTTPException
        from api.v1.services import users

        router = APIRouter()

        @router.get("/")
        def read():
            raise HTTPException(404)
    """),
    Bad("""
        # file: app/services/orders.py
        from app.dependencies import current_user, settings  # found
        # file: app/services/menu.py
        from app.dependencies import settings
        # file: app/dependencies.py
        from fastapi import Depends, HTTPException
        from fastapi.security import HTTPBearer

        def current_user(token=Depends(HTTPBearer())):
            raise HTTPException(401)

        def settings(): ...
        # file: app/api/orders.py
        from fastapi import APIRouter, Depends
        from app.dependencies import current_user

        router = APIRouter()

        @router.get("/")
        def orders(user=Depends(current_user)): ...
    """),
    Bad("""
        # file: app/domains/orders/__init__.py
        from .controllers.orders import router
        # file: app/domains/orders/controllers/orders.py
        from fastapi import APIRouter, HTTPException

        router = APIRouter()

        @router.get("/")
        def orders(): ...
        # file: app/domains/orders/tables.py
        from sqlalchemy import Column
        # file: app/domains/orders/services/orders.py
        from app.domains.orders.controllers.orders import router  # found
    """),
    Good(
        """
        # file: app/services/payments.py
        from app.gateways.api.client import pay
        from http import HTTPStatus

        def settle(order):
            return pay(order) == HTTPStatus.OK
        # file: app/gateways/api/client.py
        def pay(order): ...
        # file: app/api/orders.py
        from fastapi import APIRouter, HTTPException
        from app.services import payments

        router = APIRouter()

        @router.post("/")
        def create():
            if not payments.settle(1):
                raise HTTPException(402)
    """,
        "a package that is named api and speaks to somebody else's API is no layer of this service",
    ),
    Good(
        """
        # file: app/services/reports.py
        from fastapi.concurrency import run_in_threadpool
        from fastapi.encoders import jsonable_encoder
        from app.services.errors import HTTPException

        async def build(rows):
            try:
                return await run_in_threadpool(jsonable_encoder, rows)
            except HTTPException:
                return None
        # file: app/services/errors.py
        class HTTPException(Exception): ...
    """,
        "threads and encoders of the framework are no HTTP, and an exception is not Starlette's for its name",
    ),
]
