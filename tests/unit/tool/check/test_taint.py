"""Where a client's text is followed to, and what ends the trail: a danger of our own, so that no rule's lists take part."""

import ast
from textwrap import indent

import pytest

from fastness.tool.check.examples import files, project
from fastness.tool.check.knowledge.inputs.taint import Danger, Flow, Taint
from fastness.tool.check.rule import Good
from fastness.tool.project import Service
from fastness.tool.project.names.values import External
from fastness.tool.project.source.symbols import CallSite


def _sink(called: External, site: CallSite) -> ast.expr | None:
    return site.argument("place", 0) if called.path == "store.save" else None


def _danger(*, in_path: bool = False) -> Danger:
    return Danger(
        _sink,
        passes={"store.join": None, "store.second": 1},
        begins=lambda before: not before or before.endswith("/"),
        cleans=frozenset({"stem"}),
        checks=frozenset({"inside"}),
        in_path=in_path,
    )


def _flows(source: str, *, in_path: bool = False) -> list[Flow]:
    service = Service(project(files(Good(source))))
    return list(Taint(service, _danger(in_path=in_path)).flows())


def _sources(source: str, *, in_path: bool = False) -> list[str]:
    return [flow.source for flow in _flows(source, in_path=in_path)]


ENDPOINT = """
import os
import store
from typing import Annotated, Any
from fastapi import Depends, FastAPI, Query, Request, UploadFile
from pydantic import BaseModel, Field, field_validator

app = FastAPI()
BASE = store.Base()
HOME = "home/"

class Order(BaseModel):
    report: str
    count: int
    lines: list[str]
    coded: str = Field(pattern="^[a-z]+$")
    refined: str

    @field_validator("refined")
    def refine(cls, value): ...

class Opaque: ...

def caller() -> str: ...

def same(text): return text

def below(text): return "below-" + text

def again(text):
    return again(text)

def ping(text):
    return pong(text)

def pong(text):
    return ping(text)

@app.post("/orders/{part}/{rest:path}")
async def endpoint(
    part: str, rest: str, name: str, number: int, anything: Any, order: Order, opaque: Opaque, file: UploadFile,
    request: Request, many: list[UploadFile], coded: str = Query(pattern="^[a-z]+$"),
    short: Annotated[str, Query(regex="^a$")] = "a", user: str = Depends(caller),
):
"""
FOLLOWED = {
    "a parameter": ("name", "name"),
    "the rest of the path, which may hold slashes": ("rest", "rest"),
    "a keyword": ("place=name", "name"),
    "a field of a body": ("order.report", "order.report"),
    "a list of texts in a body": ("order.lines[0]", "order.lines"),
    "an upload's name": ("file.filename", "file.filename"),
    "a query parameter that is not declared": ("request.query_params['q']", "request.query_params['q']"),
    "a header that is asked for": ("request.headers.get('x')", "request.headers.get('x')"),
    "a field of JSON": ("(await request.json())['a']", "(await request.json())['a']"),
    "the beginning of a text": ("name + '.pdf'", "name"),
    "behind a slash": ("'home/' + name", "name"),
    "behind a constant that ends in one": ("HOME + name", "name"),
    "in an f-string": ("f'home/{name}.pdf'", "name"),
    "another case, other blanks": ("name.strip().lower()", "name"),
    "the first part": ("name.split('/')[0]", "name"),
    "what stands before the ending": ("os.path.splitext(name)[0]", "name"),
    "one of two": ("'a' if number else name", "name"),
    "the default of nothing": ("user or name", "name"),
    "one of several": ("store.join('home', name)", "name"),
    "in a list": ("store.join(*['home', name])", "name"),
    "the position that is passed on": ("store.second('a', name)", "name"),
    "a component of a path": ("BASE / name", "name"),
    "joined to a path": ("BASE.joinpath(name)", "name"),
    "given back by a function": ("same(name)", "name"),
    "given a name in passing": ("(chosen := name)", "name"),
    "the directory of a path": ("same(name).parent", "name"),
}
ENDED = {
    "a number": "number",
    "what may be anything": "anything",
    "one component of the route's path": "part",
    "a pattern": "coded",
    "a pattern beside the type": "short",
    "what a dependency gives": "user",
    "an object of an unknown class": "opaque",
    "a number in a body": "order.count",
    "a field with a pattern": "order.coded",
    "a field that a validator looks at": "order.refined",
    "a field that the model has not": "order.missing",
    "what an upload says of itself besides": "file.content_type",
    "the method of the request": "request.method",
    "behind a prefix": "f'report-{name}'",
    "behind something unknown": "f'{number}-{name}'",
    "the ending": "name.rsplit('.', 1)[1]",
    "the last component": "name.split('/')[-1]",
    "the harmless part of it": "BASE.joinpath(name).stem",
    "its length": "len(name)",
    "what a library makes of it": "store.digest(name)",
    "the position that is not passed on": "store.second(name, 'a')",
    "behind a prefix that a function puts there": "below(name)",
    "a function without an end": "again(name)",
    "two functions without an end": "ping(name)",
    "a comparison": "name == 'a'",
}


@pytest.mark.parametrize(("argument", "source"), FOLLOWED.values(), ids=FOLLOWED)
def test_followed(argument: str, source: str) -> None:
    """The client's text is still the client's."""
    assert _sources(f"{ENDPOINT}    store.save({argument})\n") == [source]


@pytest.mark.parametrize("argument", ENDED.values(), ids=ENDED)
def test_ended(argument: str) -> None:
    """What is left is not the client's to choose."""
    assert _sources(f"{ENDPOINT}    store.save({argument})\n") == []


CHECKED = {
    "compared with a list": "if name not in ALLOWED:\n    raise ValueError\nstore.save(name)",
    "handed to what checks by its name": "validate(name)\nstore.save(name)",
    "asked itself": "if not name.isidentifier():\n    raise ValueError\nstore.save(name)",
    "handed to what this danger calls a check": "store.inside(name)\nstore.save(name)",
    "under another name": "chosen = name.strip()\nstore.verify(place=chosen)\nstore.save(name)",
    "in a function that is called": "look(name)\nstore.save(name)",
}
UNCHECKED = {
    "another value is": "validate(number)\nstore.save(name)",
    "its ending is": "if name.split('.')[-1] not in ALLOWED:\n    raise ValueError\nstore.save(name)",
    "its suffix is": "if store.Path(name).suffix not in ALLOWED:\n    raise ValueError\nstore.save(name)",
    "it is only shown": "print(name)\nstore.save(name)",
}
HELPERS = """
ALLOWED = {"a"}

def look(text):
    if text not in ALLOWED:
        raise ValueError
"""


def _body(statements: str) -> str:
    return ENDPOINT + indent(statements, "    ") + HELPERS


@pytest.mark.parametrize("statements", CHECKED.values(), ids=CHECKED)
def test_checked(statements: str) -> None:
    """A function that looks at the value has dealt with it."""
    assert _sources(_body(statements)) == []


@pytest.mark.parametrize("statements", UNCHECKED.values(), ids=UNCHECKED)
def test_not_checked(statements: str) -> None:
    """A function that looks at something else, or at a harmless part, has not."""
    assert _sources(_body(statements)) == ["name"]


def test_a_parameter_of_the_path() -> None:
    """A danger that needs no slash counts the components of the route's path."""
    assert _sources(f"{ENDPOINT}    store.save(part)\n", in_path=True) == ["part"]


def test_names() -> None:
    """Names are followed whatever the order of lines, and each element of many."""
    assert _sources(_body("first = name\nsecond = third = first\nstore.save(third)")) == ["name"]
    assert _sources(_body("for one in many:\n    store.save(one.filename)")) == ["many.filename"]


def _chain(length: int) -> str:
    steps = "\n".join(f"def step{n}(text):\n    step{n + 1}(text)" for n in range(length))
    return f"{_body('step0(name)')}\n{steps}\ndef step{length}(text):\n    store.save(text)\n"


def test_calls_are_followed_with_evidence() -> None:
    """A flow tells the way it took, one step for each call."""
    (flow,) = _flows(_chain(1))
    assert flow.function.name == "step1"
    assert [step.text for step in flow.steps][1:] == ["gives name to step0", "gives name to step1"]
    assert flow.steps[0].text.startswith("endpoint takes rest, name, order")


def test_long_chains_end() -> None:
    """A sink that lies too many calls away is not told of."""
    (flow,) = _flows(_chain(11))
    assert [step.text for step in flow.steps][1:] == [f"gives name to step{n}" for n in (0, 1, 2, 11)]
    assert _flows(_chain(12)) == []


def test_methods_and_keywords() -> None:
    """`self` takes no argument, a static method's first parameter does, and keywords find theirs."""
    source = """
class Files:
    def keep(self, label, text):
        store.save(text)

    @staticmethod
    def put(text):
        store.save(text)
"""
    assert _sources(_body("Files().keep('a', text=name)") + source) == ["name"]
    assert _sources(_body("Files().keep(name, 'a')") + source) == []
    assert _sources(_body("Files.put(name)") + source) == ["name"]


def test_a_cause_is_told_once() -> None:
    """Two endpoints that give the same value to the same function, which calls itself, are one flow."""
    source = """
import store
from fastapi import FastAPI

app = FastAPI()

def keep(text):
    store.save(text)
    store.save(text + "2")
    keep(text)

@app.get("/a")
def a(name: str):
    keep(name)

@app.get("/b")
def b(name: str):
    keep(name)
"""
    assert [(flow.source, flow.function.name) for flow in _flows(source)] == [("name", "keep")]


def test_tests_are_no_service() -> None:
    """An app that a test makes is asked by nobody else."""
    source = f"# file: tests/test_app.py\n{ENDPOINT}    store.save(name)\n"
    assert _sources(source) == []
