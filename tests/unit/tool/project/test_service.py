"""Apps, routers, path operations and dependencies, as the sources declare them."""

from fastness.tool.check.examples import files, project
from fastness.tool.check.knowledge.answering import errors
from fastness.tool.check.rule import Good
from fastness.tool.project import Service
from fastness.tool.project.source.symbols import Class, Function


def _service(source: str) -> Service:
    return Service(project(files(Good(source))))


_APP = """
# file: app/config.py
from pydantic_settings import BaseSettings

class Settings(BaseSettings):
    prefix: str = "/api"

settings = Settings()
# file: app/users.py
from typing import Annotated
from fastapi import APIRouter, Depends, Security
from fastapi.security import HTTPBearer

bearer = HTTPBearer()
router = APIRouter(prefix="/users", dependencies=[Depends(bearer)])

class Page:
    def __init__(self, limit: int = 10): ...

def current_user(token=Depends(bearer)): ...

User = Annotated[dict, Security(current_user)]

@router.get("/{id}", response_model=dict)
def one(id: int, user: User, page: Page = Depends()): ...

@router.api_route("/many", methods=["PUT", "patch"])
async def many(): ...
# file: app/factory.py
from fastapi import Depends, FastAPI
from app.config import settings
from app import users

def audit(): ...

def create_app() -> FastAPI:
    app = FastAPI()
    app.include_router(users.router, prefix=f"{settings.prefix}/v1", dependencies=[Depends(audit)])
    app.add_api_route("/extra", extra, methods=["POST"])
    return app

def extra(): ...
"""


def test_paths_have_every_prefix() -> None:
    """A path is the include's prefix, a setting's default in it, the router's and the route's own."""
    service = _service(_APP)
    paths = {route.handler.name: (service.prefixes(route), set(route.methods)) for route in service.routes}
    assert paths == {
        "one": (["/api/v1/users/{id}"], {"GET"}),
        "many": (["/api/v1/users/many"], {"PUT", "PATCH"}),
        "extra": (["/extra"], {"POST"}),
    }


def test_a_versions_router_has_its_prefix() -> None:
    """The router that `fastness.versioning.Version` makes is one, with the version as its prefix."""
    service = _service("""
from fastapi import FastAPI
from fastness.versioning import Version

V2 = Version("v2")
router = V2.router(tags=["orders"])
app = FastAPI()
app.include_router(router)

@router.get("/orders")
def orders(): ...
""")
    assert [service.prefixes(route) for route in service.routes] == [["/v2/orders"]]


def test_a_function_includes_what_it_is_handed() -> None:
    """A router is included where the callers of the function say, under the prefix that each gives or leaves out."""
    service = _service("""
from fastapi import APIRouter, Depends, FastAPI

users, orders = APIRouter(prefix="/users"), APIRouter(prefix="/orders")

def audit(): ...

def add(app, router, prefix="/v1"):
    app.include_router(router, prefix=prefix)
    app.include_router(router, prefix="/workspaces/{workspace}")

class Factory:
    def register(self, app: FastAPI):
        app.include_router(orders, prefix="/v3")

def create_app():
    app = FastAPI(dependencies=[Depends(audit)])
    add(app, users)
    add(app, orders, prefix="/v2")
    Factory().register(app)
    return app

@users.get("/all")
def all_users(): ...

@orders.get("/all")
def all_orders(): ...
""")
    assert {route.handler.name: service.prefixes(route) for route in service.routes} == {
        "all_users": ["/v1/users/all", "/workspaces/{workspace}/users/all"],
        "all_orders": ["/v2/orders/all", "/workspaces/{workspace}/orders/all", "/v3/orders/all"],
    }
    for route in service.routes:
        assert [getattr(dependency.target, "name", None) for dependency in service.tree(route)] == ["audit"]


def test_dependencies_come_from_everywhere() -> None:
    """Parameters, `Annotated` aliases, the decorator, the router and the include all add dependencies."""
    service = _service(_APP)
    one = next(route for route in service.routes if route.handler.name == "one")
    targets = [dependency.target for dependency in service.tree(one)]
    named = {target.name for target in targets if isinstance(target, Function | Class)}
    assert named == {"current_user", "Page", "audit"}
    assert any(dependency.security for dependency in service.tree(one))


def test_a_function_makes_the_dependency() -> None:
    """A call in `Annotated`, as a default or in a list depends on what the function hands to `Depends`."""
    service = _service("""
# file: app.py
from typing import Annotated
from fastapi import Depends, FastAPI, params

app = FastAPI()

def caller(): ...
def reader(): ...

class Allowed:
    def __init__(self, what): ...
    def __call__(self): ...

def CallerDep() -> params.Depends:
    return Depends(caller)

def needs(what):
    return Depends(Allowed(what))

@app.get("/a", dependencies=[needs("a")])
def a(who: Annotated[str, CallerDep()], other=needs("b")): ...
""")
    (route,) = service.routes
    found = {(d.parameter, getattr(d.target, "qualified", None)) for d in service.tree(route)}
    assert found == {("who", "caller"), ("other", "Allowed.__call__")}


def test_a_table_is_known_by_its_bases() -> None:
    """An ORM class is one by what it inherits, whatever it is called."""
    service = _service("""
from django.db import models
from pydantic import BaseModel
from sqlalchemy.orm import DeclarativeBase, declarative_base
from sqlmodel import SQLModel

class Base(DeclarativeBase): ...
class Old(declarative_base()): ...
class User(Base): ...
class Team(SQLModel, table=True): ...
class TeamPublic(SQLModel): ...
class UserModel(BaseModel): ...
class Token(models.Model): ...
""")
    classes = {c.name: c for module in service.project.readable for c in module.classes}
    assert {name for name, c in classes.items() if service.is_entity(c)} == {"Base", "Old", "User", "Team", "Token"}
    assert {name for name, c in classes.items() if service.is_model(c)} == {"Team", "TeamPublic", "UserModel"}


def test_an_sdk_is_no_router() -> None:
    """`client.get("/x")` as a decorator of something known is not a route."""
    service = _service("""
from fastapi import FastAPI
from some_sdk import Client

client = Client()

@client.get("/x")
def handler(): ...

def register(app):
    @app.get("/y")
    def inner(): ...
""")
    assert [route.path for route in service.routes] == ["/y"]


def test_a_list_of_dependencies_that_goes_on_from_itself() -> None:
    """By a star or a sum, it has what the name had been given before; one that is made of nothing else has an end."""
    service = _service("""
from fastapi import Depends, FastAPI

def first(): ...
def second(): ...
def third(): ...

LISTED = [Depends(first)]
LISTED = [*LISTED, Depends(second)]
LISTED = LISTED + [Depends(third)]
CIRCLE = [*CIRCLE, Depends(first)]
app = FastAPI()

@app.get("/listed", dependencies=LISTED)
def listed(): ...

@app.get("/circle", dependencies=[*CIRCLE])
def circle(): ...
""")
    listed, circle = (
        [one.target.name for one in service.tree(route) if isinstance(one.target, Function)]
        for route in sorted(service.routes, key=lambda route: route.path or "", reverse=True)
    )
    assert (listed, circle) == (["first", "second", "third"], ["first"])


def test_a_table_of_handlers_that_is_made_of_itself() -> None:
    """What it registers cannot be told, which is said instead of being looked for without an end."""
    service = _service("""
from fastapi import FastAPI

class Gone(Exception): ...
def handle(request, error): ...

TABLE = {**TABLE, Gone: handle}
app = FastAPI(exception_handlers=TABLE)
""")
    assert list(errors.handlers(service)) == [errors.Registered(frozenset(), ())]


def test_a_decorator_of_the_project_adds_routes() -> None:
    """It is given what adds them, `router.get`, before the path; what is given something else's `get` adds none."""
    service = _service("""
        from fastapi import APIRouter
        from app.guards import guarded, keyed

        router = APIRouter(prefix="/orders")
        known = {}

        @guarded(router.get, "/{id}", ["read"], response_model=dict)
        def one(id: int): ...

        @guarded(router.post, path="/")
        def create(): ...

        @keyed(known.get, "/orders")
        def other(): ...
        # file: app/guards.py
        def guarded(method, path, scopes=(), **options):
            return method(path, **options)

        def keyed(key, name): ...
    """)
    assert [(route.handler.name, route.path, route.methods) for route in service.routes] == [
        ("one", "/{id}", {"GET"}),
        ("create", "/", {"POST"}),
    ]
    assert service.prefixes(service.routes[0]) == ["/orders/{id}"]
    assert service.routes[0].option("response_model") is not None
