"""Pairs of FastAPI apps: every change that breaks clients is found, nothing else is, and counterexamples are true.

A counterexample that is a request goes to both apps: the old one takes it, the new one refuses it. One that is a response is
held against both documents as FastAPI wrote them, by a validator that knows nothing of the comparison.
"""

import json
import sys
import textwrap
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest import mock

import jsonschema_rs
import pytest

from fastness import testing
from fastness.tool.contract import sources
from fastness.tool.contract.changes import Verdict
from fastness.tool.contract.compare import Result, compare
from fastness.tool.contract.references import resolve
from fastness.tool.contract.settings import Settings

PRELUDE = """
import dataclasses, enum, datetime, decimal, uuid, typing
from collections.abc import AsyncIterable
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypeVar, Union
from fastapi import APIRouter, Body, Cookie, Depends, FastAPI, File, Form, Header, HTTPException, Path, Query, Response
from fastapi import Security, UploadFile
from fastapi.responses import PlainTextResponse, RedirectResponse
from fastapi.security import APIKeyHeader, APIKeyQuery, HTTPBasic, HTTPBearer, OAuth2PasswordBearer, SecurityScopes
from fastapi.sse import EventSourceResponse
from pydantic import AnyUrl, BaseModel, ConfigDict, Field, HttpUrl, Json, RootModel, computed_field

app = FastAPI()
oauth = OAuth2PasswordBearer("token")

def scoped(security: SecurityScopes, token: Annotated[str, Depends(oauth)]) -> None:
    if set(security.scopes) - set(token.split()):
        raise HTTPException(403)
"""
REFUSED = {400, 401, 403, 404, 405, 406, 413, 415, 422}


@dataclass(frozen=True)
class Pair:
    """An app before and after a change, and whether the change breaks clients."""

    name: str
    breaks: bool
    old: str
    new: str
    sent: bool = True


def model(fields: str, before: str) -> str:
    return f"{before}\nclass Item(BaseModel):\n{textwrap.indent(fields, '    ')}\n"


def body(fields: str, before: str = "") -> str:
    return f"{model(fields, before)}\n@app.post('/items')\ndef create(item: Item) -> None: ..."


def answer(fields: str, before: str = "") -> str:
    return f"{model(fields, before)}\n@app.get('/items')\ndef read() -> Item: ..."


def both(fields: str, before: str = "") -> str:
    return f"{model(fields, before)}\n@app.put('/items')\ndef put(item: Item) -> Item: return item"


def params(signature: str, path: str = "/items") -> str:
    return f"@app.get('{path}')\ndef read({signature}) -> None: ..."


def takes(kind: str, before: str = "") -> str:
    return f"{before}\n@app.post('/items')\ndef create(value: Annotated[{kind}, Body()]) -> None: ..."


def gives(kind: str, before: str = "") -> str:
    return f"{before}\n@app.get('/items')\ndef read() -> {kind}: ..."


def route(decorator: str, signature: str = "", returns: str = "None") -> str:
    return f"@app.{decorator}\ndef endpoint({signature}) -> {returns}: ..."


COLOURS = "class Colour(str, enum.Enum):\n    RED = 'red'\n    BLUE = 'blue'\n"
MORE_COLOURS = COLOURS + "    GREEN = 'green'\n"
CAT = "class Cat(BaseModel):\n    kind: Literal['cat']\n    lives: int\n"
DOG = "class Dog(BaseModel):\n    kind: Literal['dog']\n    breed: str\n"
FISH = "class Fish(BaseModel):\n    kind: Literal['fish']\n    fins: int\n"
TWO = "Annotated[Cat | Dog, Field(discriminator='kind')]"
THREE = "Annotated[Cat | Dog | Fish, Field(discriminator='kind')]"
TREE = "class Tree(BaseModel):\n    name: str\n    children: list['Tree'] = []\n"
FREE = "class Strict(BaseModel):\n    a: int = 1\n"
FORBID = "class Strict(BaseModel):\n    model_config = ConfigDict(extra='forbid')\n    a: int = 1\n"
ALLOW = "class Strict(BaseModel):\n    model_config = ConfigDict(extra='allow')\n    a: int = 1\n"
STRICT = "@app.post('/items')\ndef create(item: Strict) -> None: ..."
STRICT_ANSWER = "@app.get('/items')\ndef read() -> Strict: ..."

INNER = "class Inner(BaseModel):\n    x: int\n"
INNER_TEXT = "class Inner(BaseModel):\n    x: str\n"
INNER_MORE = INNER + "    y: int = 1\n"
INNER_ASKS = INNER + "    y: int\n"
DERIVED = "a: int\n@computed_field\n@property\ndef b(self) -> int: return 1"
GENERIC = "T = TypeVar('T')\nclass Page(BaseModel, Generic[T]):\n    items: list[T]\n    total: int\n"
MUTUAL = (
    "class Left(BaseModel):\n    right: 'Right | None' = None\n"
    "class Right(BaseModel):\n    left: 'Left | None' = None\n    x: int\n"
    "Left.model_rebuild()\n"
)
FORM = "@app.post('/items')\ndef create(a: Annotated[Json[Inner], Form()], b: Annotated[str, Form()]) -> None: ..."
LINES = "@app.get('/items')\nasync def read() -> AsyncIterable[Inner]:\n    yield None\n"
EVENTS = LINES.replace("'/items'", "'/items', response_class=EventSourceResponse")
HOOK = "@app.webhooks.post('created')\ndef created(event: Inner): ...\n"
CALLBACK = (
    "calls = APIRouter()\n@calls.post('{$request.body#/url}')\ndef called(event: Inner): ...\n"
    "@app.post('/items', callbacks=calls.routes)\ndef create(url: Annotated[str, Body(embed=True)]) -> None: ...\n"
)


def headers(fields: str) -> str:
    return f"class Given(BaseModel):\n    {fields}\n" + params("given: Annotated[Given, Header()]")


# What the new app does anyhow: a route that is only hidden still answers, and a set of integers takes a list with repetitions.
UNSENT = {"a route leaves the document", "a set refuses duplicates"}
# The server makes these requests.
CALLS = {"a webhook loses a field", "an enum of a webhook grows", "a callback loses a field"}

BREAKING = [
    # operations and paths
    ("an operation is removed", route("get('/a')") + "\n" + route("get('/b')"), route("get('/a')")),
    ("a path is renamed", route("get('/item')"), route("get('/items')")),
    ("a method is changed", route("post('/items')"), route("put('/items')")),
    ("a prefix is added", route("get('/items')"), route("get('/v1/items')")),
    ("a route leaves the document", route("get('/items')"), route("get('/items', include_in_schema=False)")),
    # fields of requests
    ("a required field is added", body("a: int"), body("a: int\nb: int")),
    ("a required field is renamed", body("a: int"), body("b: int")),
    ("an optional field becomes required", body("a: int = 1"), body("a: int")),
    ("a nullable field refuses null", body("a: int | None"), body("a: int")),
    ("a nullable optional field refuses null", body("a: int | None = None"), body("a: int = 1")),
    ("a string becomes a number", body("a: str"), body("a: int")),
    ("a float becomes an int", body("a: float"), body("a: int")),
    ("a list becomes one value", body("a: list[int]"), body("a: int")),
    ("a value becomes a list", body("a: int"), body("a: list[int]")),
    ("items change", body("a: list[str]"), body("a: list[int]")),
    ("a string becomes a date", body("a: str"), body("a: datetime.date")),
    ("a string becomes a UUID", body("a: str"), body("a: uuid.UUID")),
    ("a date becomes a time stamp", body("a: datetime.date"), body("a: uuid.UUID")),
    ("an enum loses a value", body("c: Colour", MORE_COLOURS), body("c: Colour", COLOURS)),
    ("a string becomes an enum", body("c: str", COLOURS), body("c: Colour", COLOURS)),
    ("a literal loses a value", body("c: Literal['a', 'b']"), body("c: Literal['a']")),
    ("a minimum rises", body("a: int = Field(ge=0)"), body("a: int = Field(ge=5)")),
    ("a minimum is added", body("a: int"), body("a: int = Field(ge=0)")),
    ("a bound becomes exclusive", body("a: float = Field(le=10)"), body("a: float = Field(lt=10)")),
    ("a multiple is asked for", body("a: int"), body("a: int = Field(multiple_of=5)")),
    ("a maximal length is added", body("a: str"), body("a: str = Field(max_length=10)")),
    ("a minimal length is added", body("a: str"), body("a: str = Field(min_length=1)")),
    ("a pattern is added", body("a: str"), body("a: str = Field(pattern='^[a-z]+$')")),
    ("a pattern narrows", body("a: str = Field(pattern='^[a-z0-9]+$')"), body("a: str = Field(pattern='^[a-z]+$')")),
    ("a list gets shorter", body("a: list[int] = Field(max_length=9)"), body("a: list[int] = Field(max_length=3)")),
    ("a list may not be empty", body("a: list[int]"), body("a: list[int] = Field(min_length=1)")),
    ("a union loses a member", body("a: int | str"), body("a: int")),
    (
        "a tagged union loses a member",
        body(f"p: {THREE}", CAT + DOG + FISH),
        body(f"p: {TWO}", CAT + DOG + FISH),
    ),
    (
        "a member of a tagged union asks for more",
        body(f"p: {TWO}", CAT + DOG),
        body(f"p: {TWO}", CAT + DOG + "    age: int\n"),
    ),
    (
        "a nested model asks for more",
        body("t: Inner", "class Inner(BaseModel):\n    a: int\n"),
        body("t: Inner", "class Inner(BaseModel):\n    a: int\n    b: int\n"),
    ),
    (
        "a recursive model asks for more",
        body("t: Tree", TREE),
        body("t: Tree", TREE.replace("name: str", "name: str\n    size: int")),
    ),
    ("a recursive model narrows", body("t: Tree", TREE), body("t: Tree", TREE.replace("name: str", "name: int"))),
    ("extra fields are forbidden", FREE + STRICT, FORBID + STRICT),
    ("extra fields are no longer allowed", ALLOW + STRICT, FORBID + STRICT),
    ("a strict model loses a field", FORBID.replace("a: int = 1", "a: int = 1\n    b: int = 1") + STRICT, FORBID + STRICT),
    ("values of a mapping change", body("a: dict[str, str]"), body("a: dict[str, int]")),
    ("a free mapping is typed", body("a: dict[str, Any]"), body("a: dict[str, int]")),
    ("a set refuses duplicates", body("a: list[int]"), body("a: set[int]")),
    ("a body is required", takes("int | None").replace("Body()]", "Body()] = None"), takes("int")),
    ("a body is added", route("post('/items')"), takes("int")),
    (
        "a second body value is added",
        takes("int"),
        "@app.post('/items')\ndef create(a: Annotated[int, Body()], b: Annotated[int, Body()]) -> None: ...",
    ),
    ("JSON becomes a form", body("a: str"), "@app.post('/items')\ndef create(a: Annotated[str, Form()]) -> None: ..."),
    (
        "a form asks for more",
        "@app.post('/items')\ndef create(a: Annotated[str, Form()]) -> None: ...",
        "@app.post('/items')\ndef create(a: Annotated[str, Form()], b: Annotated[str, Form()]) -> None: ...",
    ),
    # parameters
    ("a required parameter is added", params(""), params("q: int")),
    ("a parameter becomes required", params("q: int = 1"), params("q: int")),
    ("a parameter is renamed", params("q: int"), params("query: int")),
    ("a parameter moves to a header", params("q: int"), params("q: Annotated[int, Header()]")),
    ("a required header is added", params(""), params("x_a: Annotated[str, Header()]")),
    ("a required cookie is added", params(""), params("a: Annotated[str, Cookie()]")),
    ("a parameter becomes a number", params("q: str"), params("q: int")),
    ("a parameter gets a maximum", params("limit: int = 10"), params("limit: Annotated[int, Query(le=100)] = 10")),
    ("a parameter becomes an enum", COLOURS + params("c: str"), COLOURS + params("c: Colour")),
    ("a path parameter narrows", params("i: str", "/items/{i}"), params("i: int", "/items/{i}")),
    ("a header narrows", params("x: Annotated[str, Header()]"), params("x: Annotated[int, Header()]")),
    (
        "a dependency adds a required parameter",
        params("a: int = 1"),
        "def page(number: int) -> int: return number\n" + params("p: Annotated[int, Depends(page)], a: int = 1"),
    ),
    (
        "a list of a parameter is bounded",
        params("q: Annotated[list[int], Query()] = []"),
        params("q: Annotated[list[int], Query(max_length=2)] = []"),
    ),
    # responses
    ("a field of the answer is removed", answer("a: int\nb: int"), answer("a: int")),
    ("a field of the answer is renamed", answer("a: int"), answer("b: int")),
    ("a field of the answer may be null", answer("a: int"), answer("a: int | None")),
    ("a field of the answer changes its type", answer("a: int"), answer("a: str")),
    ("an int of the answer becomes a float", answer("a: int"), answer("a: float")),
    ("an enum of the answer grows", answer("c: Colour", COLOURS), answer("c: Colour", MORE_COLOURS)),
    ("an enum of the answer becomes a string", answer("c: Colour", COLOURS), answer("c: str", COLOURS)),
    ("a union of the answer grows", answer("a: int"), answer("a: int | str")),
    (
        "a tagged union of the answer grows",
        gives(TWO, CAT + DOG + FISH),
        gives(THREE, CAT + DOG + FISH),
    ),
    ("a bound of the answer is gone", answer("a: int = Field(ge=0)"), answer("a: int")),
    ("a length of the answer grows", answer("a: str = Field(max_length=5)"), answer("a: str = Field(max_length=9)")),
    ("a format of the answer is gone", answer("a: datetime.datetime"), answer("a: str")),
    ("an object becomes a list", gives("dict[str, int]"), gives("list[int]")),
    (
        "the model of the answer changes",
        gives("A", "class A(BaseModel):\n    a: int\n"),
        gives("A", "class A(BaseModel):\n    b: int\n"),
    ),
    ("a recursive answer changes", gives("Tree", TREE), gives("Tree", TREE.replace("name: str", "name: str | None"))),
    (
        "a strict answer grows",
        FORBID + STRICT_ANSWER,
        FORBID.replace("a: int = 1", "a: int = 1\n    b: int = 1") + STRICT_ANSWER,
    ),
    ("the status changes", route("post('/items')"), route("post('/items', status_code=201)")),
    (
        "the media type of the answer changes",
        gives("str"),
        "@app.get('/items', response_class=PlainTextResponse)\ndef read() -> str: ...",
    ),
    ("the answer becomes empty", gives("int"), "@app.get('/items', status_code=204)\ndef read() -> None: ..."),
    # security
    ("a credential is asked for", route("get('/items')"), route("get('/items', dependencies=[Depends(HTTPBearer())])")),
    (
        "an API key is asked for",
        route("get('/items')"),
        route("get('/items', dependencies=[Depends(APIKeyHeader(name='X-Key'))])"),
    ),
    (
        "a key moves",
        route("get('/items', dependencies=[Depends(APIKeyHeader(name='X-Key'))])"),
        route("get('/items', dependencies=[Depends(APIKeyQuery(name='key'))])"),
    ),
    (
        "a scope is asked for",
        route("get('/items', dependencies=[Security(scoped, scopes=['read'])])"),
        route("get('/items', dependencies=[Security(scoped, scopes=['read', 'write'])])"),
    ),
    (
        "a scope is exchanged",
        route("get('/items', dependencies=[Security(scoped, scopes=['read'])])"),
        route("get('/items', dependencies=[Security(scoped, scopes=['write'])])"),
    ),
    # what FastAPI and Pydantic write beside plain models
    ("JSON in a field asks for more", body("a: Json[Inner]", INNER), body("a: Json[Inner]", INNER_ASKS)),
    ("JSON in a field is typed", body("a: Json"), body("a: Json[list[int]]")),
    ("text becomes JSON", body("a: str"), body("a: Json")),
    ("JSON in an answer changes", answer("a: Json[Inner]", INNER), answer("a: Json[Inner]", INNER_TEXT)),
    ("JSON in a form narrows", INNER_ASKS + FORM, INNER_ASKS.replace("y: int", "y: list[int]") + FORM),
    ("an item of JSON lines loses a field", INNER_ASKS + LINES, INNER + LINES),
    ("an item of JSON lines changes", INNER + LINES, INNER_TEXT + LINES),
    ("an event loses a field", INNER_ASKS + EVENTS, INNER + EVENTS),
    ("a computed field is removed", answer(DERIVED), answer("a: int")),
    ("a computed field changes its type", answer(DERIVED), answer(DERIVED.replace("-> int", "-> str"))),
    ("a decimal of the answer becomes a float", answer("a: decimal.Decimal"), answer("a: float")),
    (
        "a month is asked for",
        body(r"a: str = Field(pattern=r'^\d{4}-\d{2}$')"),
        body(r"a: str = Field(pattern=r'^\d{4}-(0[1-9]|1[0-2])$')"),
    ),
    ("a URL may not be longest", body("a: AnyUrl"), body("a: HttpUrl")),
    ("an item of a tuple changes", body("a: tuple[int, str]"), body("a: tuple[int, int]")),
    ("a list becomes a tuple", body("a: list[int]"), body("a: tuple[int, int]")),
    ("a tuple of the answer grows", answer("a: tuple[int, int]"), answer("a: tuple[int, int, int]")),
    (
        "a named tuple changes",
        body("a: Point", "class Point(NamedTuple):\n    x: int\n    y: str\n"),
        body("a: Point", "class Point(NamedTuple):\n    x: int\n    y: int\n"),
    ),
    ("an item may not be null", body("a: list[int | None]"), body("a: list[int]")),
    ("an item of the answer may be null", answer("a: list[int]"), answer("a: list[int | None]")),
    ("keys of a mapping become an enum", body("a: dict[str, int]"), body("a: dict[Literal['x', 'y'], int]")),
    ("a mapping of models asks for more", body("a: dict[str, Inner]", INNER), body("a: dict[str, Inner]", INNER_ASKS)),
    ("a generic model changes its parameter", gives("Page[int]", GENERIC), gives("Page[str]", GENERIC)),
    (
        "models that name each other narrow",
        body("t: Left", MUTUAL),
        body("t: Left", MUTUAL.replace("x: int", "x: list[int]")),
    ),
    ("an alias changes", body("a: int = Field(alias='x')"), body("a: int = Field(alias='y')")),
    ("an alias of the answer is set", answer("a: int"), answer("a: int = Field(serialization_alias='y')")),
    (
        "the alias of a parameter changes",
        params("q: Annotated[int, Query(alias='a')]"),
        params("q: Annotated[int, Query(alias='b')]"),
    ),
    ("a model of headers asks for more", headers("x_a: str"), headers("x_a: str\n    x_b: str")),
    ("a cookie narrows", params("a: Annotated[str, Cookie()]"), params("a: Annotated[int, Cookie()]")),
    ("a value is embedded", takes("int"), takes("int").replace("Body()", "Body(embed=True)")),
    (
        "a tag of a union loses a value",
        body(f"p: {TWO}", CAT.replace("'cat'", "'cat', 'kitten'") + DOG),
        body(f"p: {TWO}", CAT + DOG),
    ),
    (
        "the model of an error changes",
        INNER + route("get('/items', responses={404: {'model': Inner}})"),
        INNER_TEXT + route("get('/items', responses={404: {'model': Inner}})"),
    ),
    (
        "a redirection changes its status",
        route("get('/items', response_class=RedirectResponse, status_code=307)"),
        route("get('/items', response_class=RedirectResponse, status_code=301)"),
    ),
    ("a webhook loses a field", INNER_ASKS + HOOK, INNER + HOOK),
    ("an enum of a webhook grows", COLOURS + HOOK.replace("Inner", "Colour"), MORE_COLOURS + HOOK.replace("Inner", "Colour")),
    ("a callback loses a field", INNER_ASKS + CALLBACK, INNER + CALLBACK),
    # shared models
    ("a model of both directions gets a required field", both("a: int"), both("a: int\nb: int")),
    ("a model of both directions loses a value", both("c: Colour", MORE_COLOURS), both("c: Colour", COLOURS)),
    ("a model of both directions gains a value", both("c: Colour", COLOURS), both("c: Colour", MORE_COLOURS)),
]

FINE = [
    ("nothing changes", both("a: int"), both("a: int")),
    ("an operation is added", route("get('/a')"), route("get('/a')") + "\n" + route("get('/b')")),
    ("an optional field is added", body("a: int"), body("a: int\nb: int = 1")),
    ("an optional nullable field is added", body("a: int"), body("a: int\nb: int | None = None")),
    ("a field is ignored from now on", body("a: int\nb: int = 1"), body("a: int")),
    ("a field becomes optional", body("a: int"), body("a: int = 1")),
    ("a field takes null", body("a: int"), body("a: int | None")),
    ("an int becomes a float", body("a: int"), body("a: float")),
    ("a field takes more types", body("a: int"), body("a: int | str")),
    ("an enum grows", body("c: Colour", COLOURS), body("c: Colour", MORE_COLOURS)),
    ("an enum becomes a string", body("c: Colour", COLOURS), body("c: str", COLOURS)),
    ("an enum becomes a literal", body("c: Colour", COLOURS), body("c: Literal['blue', 'red']")),
    ("a bound is dropped", body("a: int = Field(ge=0, le=9)"), body("a: int")),
    ("a bound widens", body("a: int = Field(ge=0, le=9)"), body("a: int = Field(ge=-1, le=99)")),
    ("an exclusive bound is written inclusive", body("a: int = Field(gt=0)"), body("a: int = Field(ge=1)")),
    ("a length widens", body("a: str = Field(max_length=5)"), body("a: str = Field(max_length=50)")),
    ("a pattern is dropped", body("a: str = Field(pattern='^a$')"), body("a: str")),
    ("a format is dropped", body("a: uuid.UUID"), body("a: str")),
    ("a tagged union grows", body(f"p: {TWO}", CAT + DOG + FISH), body(f"p: {THREE}", CAT + DOG + FISH)),
    ("one model becomes a tagged union", body("p: Cat", CAT + DOG), body(f"p: {TWO}", CAT + DOG)),
    ("members of a union change places", body("a: Cat | Dog", CAT + DOG), body("a: Dog | Cat", CAT + DOG)),
    (
        "a recursive model gets an optional field",
        body("t: Tree", TREE),
        body("t: Tree", TREE.replace("name: str", "name: str\n    size: int = 1")),
    ),
    (
        "a model is renamed",
        body("t: Inner", "class Inner(BaseModel):\n    a: int\n"),
        body("t: Other", "class Other(BaseModel):\n    a: int\n"),
    ),
    ("a model is split for input and output", both("a: int = 1"), both("a: int = 1").replace("-> Item", "-> 'Item'")),
    ("extra fields are taken again", FORBID + STRICT, FREE + STRICT),
    ("extra fields are kept", FREE + STRICT, ALLOW + STRICT),
    (
        "titles and descriptions change",
        body("a: int = Field(title='A')"),
        body("a: int = Field(title='B', description='C', examples=[1])"),
    ),
    ("a default changes", body("a: int = 1"), body("a: int = 2")),
    ("a body becomes optional", takes("int"), takes("int").replace("Body()]", "Body()] = 1")),
    ("an optional parameter is added", params(""), params("q: int = 1")),
    ("an optional header is added", params(""), params("x: Annotated[str | None, Header()] = None")),
    ("a parameter is removed", params("q: int = 1"), params("")),
    ("a parameter becomes optional", params("q: int"), params("q: int = 1")),
    ("a nullable parameter is written without null", params("q: int | None = None"), params("q: int = 1")),
    ("a number in the query becomes text", params("q: int"), params("q: str")),
    ("an enum in the query becomes text", COLOURS + params("c: Colour"), COLOURS + params("c: str")),
    ("a parameter takes several values", params("q: int"), params("q: Annotated[list[int], Query()]")),
    ("the default of a parameter changes", params("q: int = 1"), params("q: int = 2")),
    ("a path parameter is renamed", params("i: int", "/items/{i}"), params("item: int", "/items/{item}")),
    (
        "a dependency adds an optional parameter",
        params("a: int = 1"),
        "def page(number: int = 1) -> int: return number\n" + params("p: Annotated[int, Depends(page)], a: int = 1"),
    ),
    ("the answer gets a field", answer("a: int"), answer("a: int\nb: int")),
    ("the answer gets an optional field", answer("a: int"), answer("a: int\nb: int | None = None")),
    ("an answer is never null any more", answer("a: int | None"), answer("a: int")),
    ("a float of the answer becomes an int", answer("a: float"), answer("a: int")),
    ("an enum of the answer shrinks", answer("c: Colour", MORE_COLOURS), answer("c: Colour", COLOURS)),
    ("a tagged union of the answer shrinks", gives(THREE, CAT + DOG + FISH), gives(TWO, CAT + DOG + FISH)),
    ("a bound of the answer is added", answer("a: int"), answer("a: int = Field(ge=0)")),
    ("a string of the answer becomes a UUID", answer("a: str"), answer("a: uuid.UUID")),
    ("a strict model of both directions relaxes", both("model_config = ConfigDict(extra='forbid')\na: int"), both("a: int")),
    ("an error is documented", route("get('/items')"), route("get('/items', responses={404: {'description': 'gone'}})")),
    (
        "an error is no longer documented",
        route("get('/items', responses={404: {'description': 'gone'}})"),
        route("get('/items')"),
    ),
    (
        "a second media type is offered",
        gives("int"),
        gives("int").replace("'/items'", "'/items', responses={200: {'content': {'text/csv': {}}}}"),
    ),
    (
        "a credential is no longer asked for",
        route("get('/items', dependencies=[Depends(HTTPBearer())])"),
        route("get('/items')"),
    ),
    (
        "a scope is dropped",
        route("get('/items', dependencies=[Security(scoped, scopes=['read', 'write'])])"),
        route("get('/items', dependencies=[Security(scoped, scopes=['read'])])"),
    ),
    (
        "a security scheme is renamed",
        route("get('/items', dependencies=[Depends(HTTPBearer(scheme_name='a'))])"),
        route("get('/items', dependencies=[Depends(HTTPBearer(scheme_name='b'))])"),
    ),
    ("an operation is deprecated", route("get('/items')"), route("get('/items', deprecated=True)")),
    (
        "a summary and tags change",
        route("get('/items', tags=['a'])"),
        route("get('/items', tags=['b'], summary='x', operation_id='y')"),
    ),
    (
        "a router takes the route over",
        route("get('/items')"),
        "router = APIRouter(prefix='/items')\n@router.get('')\ndef endpoint() -> None: ...\napp.include_router(router)",
    ),
    ("JSON in a field takes more", body("a: Json[Inner]", INNER), body("a: Json[Inner]", INNER_MORE)),
    ("JSON becomes text", body("a: Json[Inner]", INNER), body("a: str")),
    (
        "the model of JSON in a field is renamed",
        body("a: Json[Inner]", INNER),
        body("a: Json[Other]", INNER.replace("Inner", "Other")),
    ),
    ("items of JSON lines grow", INNER + LINES, INNER_ASKS + LINES),
    ("events grow", INNER + EVENTS, INNER_ASKS + EVENTS),
    ("a computed field is added", answer("a: int"), answer(DERIVED)),
    ("a float becomes a decimal", body("a: float"), body("a: decimal.Decimal")),
    ("a number in the query becomes a decimal", params("q: int"), params("q: decimal.Decimal")),
    ("a pattern widens", body("a: str = Field(pattern='^[a-z]+$')"), body("a: str = Field(pattern='^[a-z0-9]+$')")),
    (
        "a pattern is written in another way",
        body("a: str = Field(pattern='^[a-z0-9]+$')"),
        body("a: str = Field(pattern='^[0-9a-z][a-z0-9]*$')"),
    ),
    (
        "a pattern becomes lengths",
        body("a: str = Field(pattern='^[A-Z]{3}$')"),
        body("a: str = Field(min_length=3, max_length=3)"),
    ),
    (
        "a pattern of the answer narrows",
        answer("a: str = Field(pattern='^[a-z0-9]+$')"),
        answer("a: str = Field(pattern='^[a-z]+$')"),
    ),
    ("an enum becomes a pattern", body("a: Literal['ab', 'cd']"), body("a: str = Field(pattern='^[a-z]+$')")),
    ("octets take the place of text", body("a: str"), body("a: bytes")),
    (
        "a file is read at once",
        "@app.post('/items')\ndef create(a: UploadFile) -> None: ...",
        "@app.post('/items')\ndef create(a: Annotated[bytes, File()]) -> None: ...",
    ),
    ("a tuple becomes a list", body("a: tuple[int, int]"), body("a: list[int]")),
    ("a set becomes a frozen one", body("a: set[int]"), body("a: frozenset[int]")),
    ("values of a mapping take more", body("a: dict[str, Inner]", INNER), body("a: dict[str, Inner]", INNER_MORE)),
    ("a generic model is renamed", gives("Page[int]", GENERIC), gives("Paged[int]", GENERIC.replace("Page", "Paged"))),
    ("models that name each other widen", body("t: Left", MUTUAL), body("t: Left", MUTUAL.replace("x: int", "x: int | str"))),
    (
        "a data class takes the place of a model",
        body("a: Inner", INNER),
        body("a: Inner", "@dataclasses.dataclass\nclass Inner:\n    x: int\n"),
    ),
    ("a root model takes the place of a list", body("a: list[int]"), body("a: Numbers", "Numbers = RootModel[list[int]]\n")),
    (
        "a model takes the place of query parameters",
        params("a: str, b: int = 1"),
        "class Asked(BaseModel):\n    a: str\n    b: int = 1\n" + params("asked: Annotated[Asked, Query()]"),
    ),
    ("a tagged union is no longer tagged", body(f"p: {TWO}", CAT + DOG), body("p: Cat | Dog", CAT + DOG)),
    ("a union gets a tag", body("p: Cat | Dog", CAT + DOG), body(f"p: {TWO}", CAT + DOG)),
    (
        "a tag of a union takes one more value",
        body(f"p: {TWO}", CAT + DOG),
        body(f"p: {TWO}", CAT.replace("'cat'", "'cat', 'kitten'") + DOG),
    ),
    (
        "a range of errors is told in detail",
        route("get('/items', responses={'4XX': {'description': 'x'}})"),
        route("get('/items', responses={404: {'description': 'x'}})"),
    ),
    ("a webhook gains a field", INNER + HOOK, INNER_ASKS + HOOK),
    ("a callback gains a field", INNER + CALLBACK, INNER_ASKS + CALLBACK),
    (
        "a password flow becomes a bearer token",
        route("get('/items', dependencies=[Depends(oauth)])"),
        route("get('/items', dependencies=[Depends(HTTPBearer())])"),
    ),
    ("a field is deprecated", body("a: int\nb: int = 1"), body("a: int\nb: int = Field(1, deprecated=True)")),
]

PAIRS = [Pair(name, True, old, new, sent=name not in UNSENT | CALLS) for name, old, new in BREAKING]
PAIRS += [Pair(name, False, old, new) for name, old, new in FINE]


def build(source: str) -> Any:
    """The app of a snippet. The whole is one module, so that models may name each other."""
    module = ModuleType("snippet")
    with mock.patch.dict(sys.modules, {"snippet": module}):
        exec(compile(PRELUDE + source, "snippet", "exec"), module.__dict__)
    return module.__dict__["app"]


def compared(old: Any, new: Any) -> Result:
    before = sources.checked(old.openapi(), label="old", old=True)
    after = sources.checked(new.openapi(), label="new", old=False)
    result = compare(before, after, Settings())
    for change in result.changes:
        resolve(before.raw, f"#{change.places[0]}")
        resolve(after.raw, f"#{change.places[1]}")
    return result


def test_there_are_enough_pairs() -> None:
    """There are at least 80 pairs, with names of their own."""
    assert len(PAIRS) >= 80
    assert len({pair.name for pair in PAIRS}) == len(PAIRS)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
async def test_pair(pair: Pair) -> None:
    """The verdict is the expected one, and each counterexample is true."""
    old, new = build(pair.old), build(pair.new)
    result = compared(old, new)
    breaking = [change for change in result.changes if change.breaks]
    assert (result.verdict is Verdict.BREAKING) is pair.breaks, [(change.id, change.message) for change in breaking]
    assert not [change.id for change in breaking if change.id.endswith("undecided")]
    for change in breaking:
        assert change.counterexample is not None, change
        if "request" in change.counterexample and pair.sent:
            request = change.counterexample["request"]
            assert await status(old, request) not in REFUSED, (change.message, request)
            assert await status(new, request) in REFUSED, (change.message, request)
        elif "response" in change.counterexample:
            answered(old, new, change.operation, change.counterexample["response"])


async def status(app: Any, request: dict[str, Any]) -> int:
    """What an app answers to a request as the report gives it."""
    headers = {name: written(value) for name, value in request.get("headers", {}).items()}
    for scheme, scopes in request.get("credentials", {}).items():
        if scheme == "HTTP bearer":
            headers["Authorization"] = f"Bearer {' '.join(scopes) or 'x'}"
        elif scheme.startswith("API key header"):
            headers[scheme.split()[-1]] = "x"
    if request.get("cookies"):
        headers["Cookie"] = "; ".join(f"{name}={written(value)}" for name, value in request["cookies"].items())
    query = {name: [written(item) for item in value] if isinstance(value, list) else written(value)
             for name, value in request.get("query", {}).items()}  # fmt: skip
    content: dict[str, Any] = {}
    if "body" in request:
        form = request.get("content_type") == "application/x-www-form-urlencoded"
        content = {"data": request["body"]} if form else {"json": request["body"]}
    async with testing.http.client(app, raise_errors=False) as client:
        response = await client.request(request["method"], request["path"], params=query, headers=headers, **content)
    return int(response.status_code)


def written(value: Any) -> str:
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def answered(old: Any, new: Any, operation: str, response: dict[str, Any]) -> None:
    """The new document has the response, the old one does not."""
    assert documented(new.openapi(), operation, response)
    assert not documented(old.openapi(), operation, response)


def documented(document: dict[str, Any], operation: str, response: dict[str, Any]) -> bool:
    method, path = operation.split()
    found = document["paths"][path][method.lower()]["responses"].get(response["status"])
    if found is None:
        return False
    content = found.get("content", {})
    if response["content_type"] is None:
        return not content
    if response["content_type"] not in content:
        return False
    media, told = content[response["content_type"]], response["body"]
    schema = media.get("schema", {})
    if "itemSchema" in media:  # a stream is shown as the list of its items
        schema = {"items": media["itemSchema"]}
    if response["content_type"] == "text/event-stream":
        schema = {"items": media["itemSchema"]["properties"]["data"]["contentSchema"]}
        told = [json.loads(event["data"]) for event in told]
    # A field that a client of the old contract never saw is nothing that it could trip over.
    whole = {"components": document.get("components", {}), "allOf": [schema]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True).is_valid(told)
