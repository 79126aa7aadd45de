"""Serialising the response asks the database, once for every row.

The response model has a field that is a relationship of the table, and the query does not load it: reading it sends a query for
each row of a list. With an async session nothing can wait for it there, and the answer is a 500 (`MissingGreenlet`).

Load what the response needs with the query (`selectinload`, `joinedload`), and let `lazy="raise"` find what was forgotten.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge import entities
from fastness.tool.check.knowledge.bodies import fields
from fastness.tool.check.knowledge.responses import returned
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Route
from fastness.tool.project.symbols import Class, Function, argument, constant, last_name
from fastness.tool.project.values import Elements, Instance, Values

_EAGER = {"selectin", "joined", "subquery", "immediate", "raise", "raise_on_sql", "noload", "write_only", "dynamic", False}
_LOADERS = (
    "selectinload",
    "joinedload",
    "subqueryload",
    "contains_eager",
    "immediateload",
    "defaultload",
    "raiseload",
    "noload",
)
_RELATIONSHIPS = {"sqlalchemy.orm.relationship", "sqlmodel.Relationship"}


@rule(severity=Severity.WARNING, practice="7.3", help='load it with the query (`selectinload`), and set `lazy="raise"`')
def check(service: Service) -> Iterator[Found]:
    loaded = _loaded(service)
    seen: set[Function] = set()
    for route in service.routes:
        if route.handler in seen or not route.handler.module.is_service:
            continue
        model, many = _model(service, route)
        entity = _entity(service, route) if model is not None else None
        if model is None or entity is None or not (many or _waits_for_nobody(service, route.handler)):
            continue
        for name, evidence in _lazy(service, model, entity):
            if name not in loaded:
                seen.add(route.handler)
                each = "each row of the answer" if many else "the answer"
                message = f"{route.handler.qualified} loads {entity.name}.{name} from the database for {each}"
                yield found(route.handler, route.handler.node, message, *evidence)
                break


def _loaded(service: Service) -> set[str]:
    """The relationships that some query of the service loads."""
    names: set[str] = set()
    for module in service.project.service:
        for loader in _LOADERS:
            for site in module.calls_by_name.get(loader, ()):
                for given in site.node.args:
                    names.add(last_name(given) or str(constant(given)))
    return names


def _model(service: Service, route: Route) -> tuple[Class | None, bool]:
    """The response model, and whether the response is a list of it."""
    declared = route.option("response_model")
    scope = route.scope if declared is not None else route.handler.parent
    values: Values = service.resolver.annotation(declared if declared is not None else route.handler.node.returns, scope)
    many = False
    if any(isinstance(value, Elements) for value in values):
        values, many = tuple(inner for value in values if isinstance(value, Elements) for inner in value.of), True
    for value in values:
        if isinstance(value, Instance) and service.is_model(value.definition) and not service.is_entity(value.definition):
            return value.definition, many
    return None, many


def _entity(service: Service, route: Route) -> Class | None:
    """The table whose rows the endpoint returns."""
    for value in returned(route.handler):
        held = next(iter(entities.held(service, service.resolver.infer(value, route.handler))), None)
        entity = held or entities.queried(service, value, route.handler)
        if entity is not None:
            return entity
    return None


def _waits_for_nobody(service: Service, handler: Function) -> bool:
    """The session is an async one: loading on access raises."""
    return any(
        getattr(value, "path", "").startswith("sqlalchemy.ext.asyncio.AsyncSession().")
        for site in handler.calls
        for value in service.resolver.targets(site)
    )


def _lazy(service: Service, model: Class, entity: Class) -> Iterator[tuple[str, tuple[Evidence, ...]]]:
    """The model's fields that are relationships of the table, which it loads when they are read."""
    for name, (owner, node) in fields(service, model).items():
        for base in [base for base in service.resolver.mro(entity) if isinstance(base, Class)]:
            for binding in base.bindings.get(name, ()):
                call = binding.value
                if isinstance(call, ast.Call) and service.resolver.paths(call.func, base) & _RELATIONSHIPS and _is_lazy(call):
                    yield (
                        name,
                        (
                            proof(owner, node, f"{model.name}.{name} is in the response"),
                            proof(base, binding.node, f"{entity.name}.{name} is a relationship"),
                        ),
                    )


def _is_lazy(call: ast.Call) -> bool:
    lazy = argument(call, "lazy")
    options = argument(call, "sa_relationship_kwargs")
    if isinstance(options, ast.Dict):
        pairs = zip(options.keys, options.values, strict=True)
        lazy = next((value for key, value in pairs if constant(key) == "lazy"), lazy)
    return constant(lazy) not in _EAGER if isinstance(lazy, ast.Constant) else lazy is None


_MODELS = """
        from fastapi import Depends, FastAPI
        from pydantic import BaseModel
        from sqlalchemy import select
        from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
        from sqlalchemy.orm import DeclarativeBase, Mapped, Session, relationship, selectinload, sessionmaker

        Local = sessionmaker()
        Async = async_sessionmaker()
        app = FastAPI()

        class Base(DeclarativeBase): ...

        class Line(Base): ...

        class Order(Base):
            lines: Mapped[list[Line]] = relationship()
            notes: Mapped[list[Line]] = relationship(lazy="selectin")

        class LineOut(BaseModel):
            id: int

        class OrderOut(BaseModel):
            lines: list[LineOut]

        class Short(BaseModel):
            notes: list[LineOut]

        def get_db():
            with Local() as db:
                yield db

        async def get_async():
            async with Async() as db:
                yield db
"""

EXAMPLES = [
    Bad(f"""{_MODELS}
        @app.get("/orders", response_model=list[OrderOut])
        def orders(db: Session = Depends(get_db)):  # found
            return db.query(Order).all()

        @app.get("/orders/{{id}}")
        async def one(id: int, db: AsyncSession = Depends(get_async)) -> OrderOut:  # found
            order = (await db.execute(select(Order))).scalars().first()
            return order
    """),
    Good(
        f"""{_MODELS}
        @app.get("/orders", response_model=list[OrderOut])
        def orders(db: Session = Depends(get_db)):
            return db.query(Order).options(selectinload(Order.lines)).all()
    """,
        "the query loads it",
    ),
    Good(
        f"""{_MODELS}
        @app.get("/orders", response_model=list[Short])
        def orders(db: Session = Depends(get_db)):
            return db.query(Order).all()
    """,
        "the relationship loads itself with the row",
    ),
    Good(
        f"""{_MODELS}
        @app.get("/orders/{{id}}", response_model=OrderOut)
        def one(id: int, db: Session = Depends(get_db)):
            return db.query(Order).first()

        @app.get("/lines", response_model=list[LineOut])
        def lines(db: Session = Depends(get_db)):
            return db.query(Line).all()
    """,
        "one more query for one row, and a model without the relationship",
    ),
]
