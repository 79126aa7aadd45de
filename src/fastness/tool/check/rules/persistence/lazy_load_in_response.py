"""Serialising the response asks the database, once for every row.

The response model has a field that is a relationship of the table, and the query does not load it: reading it sends a query for
each row of a list. With an async session nothing can wait for it there, and the answer is a 500 (`MissingGreenlet`).

Load what the response needs with the query (`selectinload`, `joinedload`), and let `lazy="raise"` find what was forgotten.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.answering.responses import returned
from fastness.tool.check.knowledge.facts import relationships
from fastness.tool.check.knowledge.inputs.bodies import fields
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import ClassValue, Elements, Instance, Values
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Class, Function, Kind, constant, last_name

_AWAITED = re.compile(r"\.awaitable_attrs\.(\w+)")
_VALIDATES = frozenset({"model_validate", "from_orm"})
_ASYNC = "sqlalchemy.ext.asyncio.AsyncSession()."
_STEPS = 4


@rule(severity=Severity.WARNING, practice="7.3", help='load it with the query (`selectinload`), and set `lazy="raise"`')
def check(service: Service) -> Iterator[Found]:
    everywhere = relationships.loaded_everywhere(service)
    seen: set[Function] = set()
    for route in service.routes:
        handler = route.handler
        if handler in seen or not handler.module.is_service:
            continue
        for model, rows, scope, many in _answers(service, route):
            entity = relationships.of_rows(service, rows, scope)
            lazy = dict(_lazy(service, model, entity)) if entity is not None and not _reads_itself(model) else {}
            if entity is None or not lazy:
                continue
            run = _run(service, route)
            loaded = everywhere | relationships.loaded(site for function in run for site in function.calls)
            loaded.update(*(_AWAITED.findall(module.text) for module in {function.module for function in run}))
            name = next((name for name in lazy if name not in loaded), None)
            if name is not None and (many or _waits_for_nobody(service, run)):
                seen.add(handler)
                each = "each row of the answer" if many else "the answer"
                message = f"{handler.qualified} loads {entity.name}.{name} from the database for {each}"
                yield found(handler, handler.node, message, *lazy[name])
                break


def _reads_itself(model: Class) -> bool:
    """A validator before all others says what is read of a row."""
    before = (call for method in model.methods for call in method.decorators if isinstance(call, ast.Call))
    return any(last_name(call) in {"model_validator", "root_validator"} and "before" in ast.unparse(call) for call in before)


def _run(service: Service, route: Route) -> list[Function]:
    """The endpoint, what it depends on, and what they call: services, repositories, and what repositories have in common."""
    run = [route.handler, *(one.target for one in service.tree(route) if isinstance(one.target, Function))]
    seen, level = set(run), run
    for _ in range(_STEPS):
        level = [edge.target for function in level for edge in service.graph.edges(function)]
        level = [one for one in dict.fromkeys(level) if one not in seen]
        seen.update(level)
        run = [*run, *level]
    return run


def _answers(service: Service, route: Route) -> Iterator[tuple[Class, ast.expr, Function, bool]]:
    """What the endpoint answers with: the model, the row or rows that it is made from, where, and whether they are many."""
    declared, many = _model(service, route)
    for value in returned(route.handler):
        made = _made(service, value, route.handler)
        if made is not None:
            yield made[0], made[1], route.handler, made[2]
        elif declared is not None:
            yield declared, value, route.handler, many
            if not many:
                yield from _in_table(service, declared, value, route.handler)


def _in_table(
    service: Service, model: Class, value: ast.expr, scope: Function, steps: int = 2
) -> Iterator[tuple[Class, ast.expr, Function, bool]]:
    """`{"total": 3, "orders": orders}`, which the endpoint returns or a function that it asks: each with its field's model."""
    value = value.value if isinstance(value, ast.Await) else value
    if isinstance(value, ast.Dict):
        declared = fields(service, model)
        for key, held in zip(value.keys, value.values, strict=True):
            owner, field = declared.get(str(constant(key)), (None, None))
            if owner is not None and isinstance(field, ast.AnnAssign):
                inner, many = _of_model(service, service.resolver.annotation(field.annotation, owner))
                if inner is not None:
                    yield inner, held, scope, many
    elif isinstance(value, ast.Call) and steps:
        for edge in service.graph.edges(scope):
            if edge.site.node is value:
                for answer in returned(edge.target):
                    yield from _in_table(service, model, answer, edge.target, steps - 1)


def _made(
    service: Service, value: ast.expr, scope: Function, *, many: bool = False, steps: int = 2
) -> tuple[Class, ast.expr, bool] | None:
    """`OrderOut.model_validate(order)`, or a list of such: from the row, when the model reads attributes."""
    if isinstance(value, ast.Name) and steps:
        bindings = [one for one in scope.bindings.get(value.id, ()) if one.value is not None]
        given = bindings[0].value if len(bindings) == 1 and bindings[0].kind is Kind.ASSIGN else None
        return _made(service, given, scope, many=many, steps=steps - 1) if given is not None else None
    if isinstance(value, ast.ListComp):
        return _made(service, value.elt, scope, many=True, steps=0)
    if isinstance(value, ast.Call) and last_name(value) in _VALIDATES and value.args and isinstance(value.func, ast.Attribute):
        for one in service.resolver.infer(value.func.value, scope):
            if isinstance(one, ClassValue) and service.is_model(one.definition):
                return one.definition, value.args[0], many
    return None


def _model(service: Service, route: Route) -> tuple[Class | None, bool]:
    """The response model, and whether the response is a list of it."""
    declared = route.option("response_model")
    scope = route.scope if declared is not None else route.handler.parent
    return _of_model(
        service, service.resolver.annotation(declared if declared is not None else route.handler.node.returns, scope)
    )


def _of_model(service: Service, held: Values) -> tuple[Class | None, bool]:
    many = False
    if any(isinstance(value, Elements) for value in held):
        held, many = tuple(inner for value in held if isinstance(value, Elements) for inner in value.of), True
    for value in held:
        if isinstance(value, Instance) and service.is_model(value.definition) and not service.is_entity(value.definition):
            return value.definition, many
    return None, many


def _waits_for_nobody(service: Service, run: list[Function]) -> bool:
    """The session is an async one: loading on access raises."""
    return any(call.target.path.startswith(_ASYNC) for function in run for call in service.graph.outward(function))


def _lazy(service: Service, model: Class, entity: Class) -> Iterator[tuple[str, tuple[Evidence, ...]]]:
    """The model's fields that are relationships of the table, which it loads when they are read."""
    declared = fields(service, model)
    for name, base, binding in relationships.lazy(service, entity, declared):
        owner, node = declared[name]
        response = proof(owner, node, f"{model.name}.{name} is in the response")
        yield name, (response, proof(base, binding.node, f"{entity.name}.{name} is a relationship"))


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

        @app.get("/orders/{{id}}/made")
        async def made(id: int, db: AsyncSession = Depends(get_async)):  # found
            order = await db.get(Order, id)
            return OrderOut.model_validate(order)

        @app.get("/lists")
        def lists(db: Session = Depends(get_db)):  # found
            rows = db.scalars(select(Order)).all()
            answer = [OrderOut.model_validate(row) for row in rows]
            return answer

        class Orders:
            def __init__(self, session: AsyncSession):
                self.session = session

            async def get(self, id: int) -> Order | None:
                return await self.session.get(Order, id)

        @app.get("/found", response_model=list[OrderOut])
        def others(db: Session = Depends(get_db)):
            return db.query(Order).options(selectinload(Order.lines)).all()

        @app.get("/kept/{{id}}", response_model=OrderOut)
        async def kept(id: int, db: AsyncSession = Depends(get_async)):  # found
            return await Orders(db).get(id)

        class Page(BaseModel):
            total: int
            rows: list[OrderOut]

        async def page_of(session: AsyncSession):
            rows = (await session.execute(select(Order))).scalars().all()
            return {{"total": len(rows), "rows": rows}}

        @app.get("/page", response_model=Page)
        async def page(db: AsyncSession = Depends(get_async)):  # found
            return await page_of(db)

        @app.get("/first")
        def first(db: Session = Depends(get_db)) -> Page:  # found
            rows = db.query(Order).limit(10).all()
            return {{"total": len(rows), "rows": rows}}

        @app.get("/loaded", response_model=Page)
        def loaded(db: Session = Depends(get_db)):
            rows = db.query(Order).options(selectinload(Order.lines)).all()
            return {{"total": len(rows), "rows": rows}}
    """),
    Good(
        f"""{_MODELS}
        @app.post("/orders")
        async def create(db: AsyncSession = Depends(get_async)) -> OrderOut:
            order = Order()
            db.add(order)
            await db.refresh(order, ["lines"])
            return OrderOut.model_validate(order)

        @app.get("/orders/{{id}}")
        def one(id: int, db: Session = Depends(get_db)):
            order = db.get(Order, id)
            return OrderOut.model_validate(order)

        @app.get("/orders/{{id}}/awaited")
        async def awaited(id: int, db: AsyncSession = Depends(get_async)):
            order = await db.get(Order, id)
            await order.awaitable_attrs.lines
            return OrderOut.model_validate(order)

        @app.get("/notes/{{id}}")
        async def notes(id: int, db: AsyncSession = Depends(get_async)):
            return Short.model_validate(await db.get(Order, id))
    """,
        "it is loaded after all, by one query for one row, or with the row",
    ),
    Good(
        f"""{_MODELS}
        class Loaded(OrderOut):
            @model_validator(mode="before")
            @classmethod
            def of_row(cls, row):
                return {{"id": row.id, "lines": row.lines if "lines" in row.__dict__ else []}}

        @app.get("/orders", response_model=list[OrderOut])
        def orders(db: Session = Depends(get_db)):
            return db.query(Order).options(selectinload(Order.lines)).all()

        @app.get("/loaded", response_model=list[Loaded])
        def loaded(db: Session = Depends(get_db)):
            return db.query(Order).all()
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
