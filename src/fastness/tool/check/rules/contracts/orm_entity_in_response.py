"""An ORM entity is the response.

Every column that the table has, or will have, is sent: the password hash, the tenant, the internal note that somebody adds next
year. An `exclude` list names what was known when it was written. Serialising also loads relationships one by one.

Declare a response model with the fields that clients need; FastAPI takes them from the entity. When the app is booted, the
classes of its response models decide.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.answering.responses import is_response, returned, sends_json
from fastness.tool.check.knowledge.facts import entities
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Evidence, Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Function, argument
from fastness.tool.project.source.walk import walk


@rule(severity=Severity.ERROR, practice="3.4", help="declare a response model with the fields that clients need")
def check(service: Service, served: Served | None) -> Iterator[Found]:
    seen: set[Function] = set()
    for route in service.routes:
        if route.handler in seen or route.is_websocket or (served is not None and _has_other_model(served, route.handler)):
            continue
        fault = _declared(service, route) or _undeclared(service, route) or _denylisted(service, route)
        fault = fault or _dumped(service, route)
        if fault is not None:
            seen.add(route.handler)
            yield fault
    if served is not None:
        yield from _at_boot(served, seen)


def _at_boot(served: Served, seen: set[Function]) -> Iterator[Found]:
    for route in served.app.operations:
        function = served.function(route.endpoint)
        if route.entities and function is not None and function not in seen:
            seen.add(function)
            message = f"the response model of {route.title} is the table {route.entities[0]}: every column is sent"
            yield found(function, function.node, message, source="boot")


def _has_other_model(served: Served, handler: Function) -> bool:
    """It is served, and everywhere with a response model that is no table."""
    booted = served.routes(handler)
    return bool(booted) and all(route.response_model is not None and not route.entities for route in booted)


def _declared(service: Service, route: Route) -> Found | None:
    """The response model, or the return annotation that acts as one, is an entity."""
    handler = route.handler
    model = route.option("response_model")
    scope = route.scope if model is not None else handler.parent
    declared = model if model is not None else handler.node.returns
    if declared is None or (isinstance(declared, ast.Constant) and declared.value is None):
        return None
    entity = next(iter(entities.held(service, service.resolver.annotation(declared, scope))), None)
    if entity is None:
        return None
    how = "response_model" if model is not None else "the return type"
    message = f"{how} of {handler.qualified} is the table {entity.name}: every column is sent"
    evidence: list[Evidence] = [proof(entity, entity.node, f"{entity.name} is an ORM class")]
    exclude = route.option("response_model_exclude")
    if exclude is not None:
        evidence.append(proof(route.scope, exclude, "a list of what is not sent sends everything that is added later"))
    return found(handler, handler.node, message, *evidence)


def _undeclared(service: Service, route: Route) -> Found | None:
    handler = route.handler
    if handler.node.returns is not None or route.option("response_model") is not None or not sends_json(route):
        return None
    answers = [one for answer in returned(handler) for one in (answer, *entities.enveloped(service, answer, handler))]
    for value in answers:
        entity = next(iter(entities.held(service, service.resolver.infer(value, handler))), None) or entities.queried(
            service, value, handler
        )
        if entity is not None:
            message = f"{handler.qualified} returns {entity.name} without a response model: every column is sent"
            return found(handler, handler.node, message, proof(handler, value, "returned here"),
                         proof(entity, entity.node, f"{entity.name} is an ORM class"))  # fmt: skip
    return None


def _denylisted(service: Service, route: Route) -> Found | None:
    """`jsonable_encoder(user, exclude=[...])`: what is not named is sent, whatever model a ready response is declared with."""
    handler = route.handler
    declared = handler.node.returns is not None or route.option("response_model") is not None
    if not sends_json(route) or (declared and not any(is_response(service, one, handler) for one in returned(handler))):
        return None
    for site in handler.calls:
        exclude = argument(site.node, "exclude")
        if site.name == "jsonable_encoder" and exclude is not None and site.node.args:
            given = site.node.args[0]
            entity = next(iter(entities.held(service, service.resolver.infer(given, handler))), None)
            entity = entity or entities.queried(service, given, handler)
            if entity is not None:
                message = f"{handler.qualified} sends {entity.name} except for a list of fields: what is added later is sent"
                return found(handler, handler.node, message, proof(handler, site.node, "the list of exceptions"))
    return None


def _dumped(service: Service, route: Route) -> Found | None:
    """A table of all columns, made by hand, which the response model takes as it is."""
    handler = route.handler
    for site, function in entities.dumped(service, handler) if sends_json(route) else ():
        keys = {
            str(key.value)
            for node in handler.of(ast.Dict)
            for key, value in zip(node.keys, node.values, strict=True)
            if isinstance(key, ast.Constant) and any(inner is site.node for inner in walk(value))
        }
        model = route.option("response_model")
        declared, scope = (model, route.scope) if model is not None else (handler.node.returns, handler.parent)
        if declared is None or entities.takes_any(service, declared, scope, keys):
            message = f"{handler.qualified} sends what {function.qualified} makes of an entity: every column"
            return found(handler, handler.node, message, proof(handler, site.node, "sent here"),
                         proof(function, function.node, "a table of all columns"))  # fmt: skip
    return None


EXAMPLES = [
    Bad("""
        from fastapi import Depends, FastAPI
        from fastapi.encoders import jsonable_encoder
        from fastapi.responses import JSONResponse
        from pydantic import BaseModel
        from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker
        class Base(DeclarativeBase): ...
        class User(Base):
            __tablename__ = "users"
        app = FastAPI()
        get_db = sessionmaker()
        def find(db: Session):
            return db.query(User).first()
        @app.get("/a")
        def a() -> list[User]:  # found
            return []
        @app.get("/b")
        def b(db: Session = Depends(get_db)):  # found
            return find(db)
        @app.get("/c")
        def c():  # found
            user = User()
            return {"user": jsonable_encoder(user, exclude=["password"])}
        @app.get("/d")
        def d(db: Session = Depends(get_db)):  # found
            user = find(db)
            return {"user": jsonable_encoder(user, exclude=["password"])}
        class Named(BaseModel):
            user: dict
        @app.get("/e", response_model=Named)
        def e(db: Session = Depends(get_db)):  # found
            return JSONResponse({"user": jsonable_encoder(find(db), exclude=["password"])})
        @app.get("/f", response_model=Named)
        def f(db: Session = Depends(get_db)):
            return {"user": jsonable_encoder(find(db), exclude=["password"])}
    """),
    Bad("""
        from django.db import models
        from fastapi import FastAPI
        class Token(models.Model): ...
        app = FastAPI()
        def tokens(user):
            return list(Token.objects.filter(user=user))
        @app.get("/tokens")
        def listed(user: int):  # found
            return tokens(user)
        @app.get("/tokens/{id}")
        async def one(id: int):  # found
            return await Token.objects.filter(id=id).afirst()
        @app.get("/count")
        def count():
            return Token.objects.filter(user=1).count()
    """),
    Good("""
        from fastapi import FastAPI
        from pydantic import BaseModel
        from sqlmodel import Field, SQLModel
        from app import schemas
        class User(SQLModel, table=True):
            id: int = Field(primary_key=True)
        class UserPublic(SQLModel):
            id: int
        app = FastAPI()
        @app.get("/a", response_model=UserPublic)
        def a():
            return User(id=1)
        @app.get("/b")
        def b() -> list[schemas.User]:
            return []

        @app.get("/c")
        def c():
            return {"id": User(id=1).id}
        # file: app/schemas.py
        from pydantic import BaseModel

        class User(BaseModel):
            id: int
    """),
    Good(
        """
        from typing import Generic, TypeVar
        from fastapi import FastAPI
        from pydantic import BaseModel
        from sqlalchemy.orm import DeclarativeBase

        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "users"

        class UserPublic(BaseModel):
            id: int

        Item = TypeVar("Item")

        class Page(BaseModel, Generic[Item]):
            items: list[Item]

        app = FastAPI()

        @app.get("/me", response_model=UserPublic)
        def me() -> User:
            return User()

        @app.get("/users", response_model=Page[UserPublic])
        def users():
            return {"items": [User()]}
    """,
        "`response_model` wins over the annotation, and a page is a page of what it holds",
    ),
    Good(
        """
        from fastapi import Depends, FastAPI
        from pydantic import BaseModel
        from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "users"
            name: str

        class UserPublic(BaseModel):
            name: str

        app = FastAPI()
        get_db = sessionmaker()

        @app.get("/a")
        def a(db: Session = Depends(get_db)):
            user = db.query(User).first()
            return UserPublic.model_validate(user, from_attributes=True)

        @app.get("/b")
        def b(db: Session = Depends(get_db)):
            return [user.name for user in db.query(User).all()]

        @app.get("/c")
        def c(db: Session = Depends(get_db)):
            return {"count": db.query(User).count()}
    """,
        "the entity becomes a model, or only a part of it is sent",
    ),
    Bad("""
        from fastapi import Depends, FastAPI
        from sqlalchemy import select
        from sqlalchemy.orm import DeclarativeBase, Session, sessionmaker

        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "users"

        app = FastAPI()
        get_db = sessionmaker()

        @app.get("/users")
        def users(db: Session = Depends(get_db)):  # found
            statement = select(User).limit(10)
            found = db.execute(statement).scalars().all()
            return found
    """),
    Bad("""
        from fastapi import FastAPI
        from fastapi_sqlalchemy import db
        from sqlalchemy.orm import DeclarativeBase

        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "users"

            @classmethod
            def of(cls, session, number):
                return session.query(User).filter(User.number == number).all()

        app = FastAPI()

        @app.get("/users")
        def users():  # found
            return db.session.query(User).all()

        @app.get("/mine")
        def mine(number: int):  # found
            return User.of(db.session, number)

        @app.get("/page")
        def page():  # found
            found = db.session.query(User).all()
            return {"count": len(found), "users": found}

        def success(message, data=None):
            return {"message": message, "data": data}

        @app.get("/wrapped")
        def wrapped(number: int):  # found
            return success("done", data=User.of(db.session, number))

        def audited(message, data):
            return {"message": message, "number": data.number}

        @app.get("/audited")
        def look(number: int):
            return audited("done", User())

        def label(user):
            return user.name

        def shown(user):
            return {"name": ", ".join(label(user=user))}

        class Out:
            @classmethod
            def build(cls, user, extra): ...

        def built(user):
            return Out.build(user=user, extra=1)

        @app.get("/shown")
        def show():
            return shown(User())

        @app.get("/built")
        def build():
            return built(User())
    """),
    Good(
        """
        # file: app/main.py
        from fastapi import FastAPI
        from sqlalchemy.orm import DeclarativeBase
        from app.pages import page

        class Base(DeclarativeBase): ...

        class User(Base):
            __tablename__ = "users"

        app = FastAPI()

        @app.get("/users")
        def users():
            return page("users.html", context={"user": User()})
        # file: app/pages.py
        from starlette.templating import Jinja2Templates

        templates = Jinja2Templates("templates")

        def page(name, context):
            return templates.TemplateResponse(name=name, context=context)
    """,
        "a template shows what it names",
    ),
    Bad("""
        from typing import Any
        from fastapi import APIRouter
        from pydantic import BaseModel
        from sqlalchemy import inspect
        router = APIRouter()
        class Named(BaseModel):
            name: str
        class Page(BaseModel):
            items: list[dict[str, Any]]
        class Shop(BaseModel):
            items: list[Named]
            extra: dict
        def row(one):
            return {column.key: getattr(one, column.key) for column in inspect(one).mapper.column_attrs}
        class Table:
            def as_row(self):
                return {column.name: getattr(self, column.name) for column in self.__table__.columns}
        def some(one):
            return {column.key: getattr(one, column.key) for column in one.__table__.columns if column.key == "name"}
        @router.get("/all", response_model=Page)
        def everything(db):  # found
            return {"items": [row(one) for one in db.query(Table)]}
        @router.get("/first")
        def first():  # found
            found = Table().as_row()
            return found
        @router.get("/named", response_model=Shop)
        def named(db):
            return {"items": [row(one) for one in db.query(Table)]}
        @router.get("/few")
        def few(db):
            return {"items": [some(one) for one in db.query(Table)]}
    """),
]
