"""Answers depend on the question alone, however definitions refer to each other and whatever was asked before."""

import ast
import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastness.tool.check.examples import project
from fastness.tool.project import Project, Service
from fastness.tool.project.kept.reading import EVERYTHING, known_once
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Scope

_NAMES = ("a", "b", "c", "d")
_EXPRESSIONS = st.sampled_from([
    *_NAMES, *(f"{name}()" for name in _NAMES), *(f"{name}.x" for name in _NAMES), "a or b", "[c]", "d[0]", "Made()", "open",
    "lambda: a",
])  # fmt: skip
_CLASS = """class {}({base}):
    x = {base}

    def y(self):
        self.x = self.y()
        return {base}"""
_FUNCTION = """def {}(a=None):
    c = {}
    return c"""
_STATEMENTS = st.one_of(
    st.builds("{} = {}".format, st.sampled_from(_NAMES), _EXPRESSIONS),
    st.builds(_FUNCTION.format, st.sampled_from(_NAMES), _EXPRESSIONS),
    st.builds(_CLASS.format, st.sampled_from(_NAMES), base=st.sampled_from(_NAMES)),
    st.sampled_from(["from other import *", "from other import a", "from main import b", "import main, other"]),
)
_FILE = st.lists(_STATEMENTS, min_size=1, max_size=8).map("\n".join)


def _questions(asked: Project) -> Iterator[tuple[ast.expr, Scope]]:
    for module in asked.readable:
        scopes: list[Scope] = [module, *module.classes, *module.functions]
        for scope in scopes:
            statements = module.tree.body if isinstance(scope, Module) else scope.node.body
            for statement in statements:
                if isinstance(statement, ast.Assign | ast.Return) and statement.value is not None:
                    yield statement.value, scope
            yield from ((site.node, scope) for site in scope.calls)


@settings(max_examples=150, deadline=None)
@given(main=_FILE, other=_FILE, seed=st.integers(0, 1000))
def test_the_order_of_questions_does_not_matter(main: str, other: str, seed: int) -> None:
    """In circles too, a question gets the same answer first, last, and again, and has looked into the same modules."""
    asked = project({"main.py": main, "other.py": f"class Made:\n    x = None\n{other}"})
    questions = list(_questions(asked))
    alone = [_answer(Resolver(asked), *question) for question in questions]
    together, order = Resolver(asked), list(range(len(questions)))
    random.Random(seed).shuffle(order)
    for number in [*order, *reversed(order)]:
        assert _answer(together, *questions[number]) == alone[number]


def _answer(resolver: Resolver, node: ast.expr, scope: Scope) -> tuple[object, int]:
    reading = resolver.project.reading
    reading.mask = 0
    return resolver.infer(node, scope), reading.mask


def test_an_answer_has_looked_into_every_file_on_the_way() -> None:
    """Whoever is given a remembered answer has looked into all that whoever found it looked into, bodies of functions too."""
    asked = project({
        "main.py": "from first import make\nthing = make()\nagain = make()\n",
        "first.py": "from second import Thing\n\ndef make():\n    return Thing()\n",
        "second.py": "class Thing:\n    pass\n",
        "third.py": "from second import Thing\n",
    })  # fmt: skip
    main, first, second, third = asked.readable
    resolver = Resolver(asked)
    for site in main.calls_by_name.get("make"):
        assert _answer(resolver, site.node, main)[1] == main.bit | first.bit | first.inner_bit | second.bit
    assert not asked.reading.mask & third.bit


def test_what_is_remembered_of_a_project_is_everybodys() -> None:
    """A function that remembers what it says of a whole project tells so each time, not only when it looks."""

    @known_once
    def names(of: Project) -> list[str]:
        return [module.name for module in of.readable]

    asked = project({"main.py": "", "other.py": ""})
    for _ in range(2):
        asked.reading.mask = 0
        assert names(asked) == ["main", "other"]
        assert asked.reading.mask & EVERYTHING


@pytest.mark.parametrize(
    "ask",
    [
        lambda service: service.project.modules,
        lambda service: service.project.readable,
        lambda service: service.project.service,
        lambda service: service.apps,
        lambda service: service.routers,
        lambda service: service.routes,
        lambda service: service.middleware,
        lambda service: service.tree(service._routes[0]),
        lambda service: service.router_of(service._routes[0].router.call, service._routes[0].scope),
    ],
)
def test_what_everybody_has_a_part_in_is_noted(ask: Callable[[Service], object]) -> None:
    """Every time, also when it is remembered: lists of files, the routes."""
    app = "from fastapi import FastAPI\n\napp = FastAPI()\n\nclass One: ...\n\n@app.get('/')\ndef get(): ...\n"
    service = Service(project({"main.py": app}))
    assert service.routes
    for _ in range(2):
        service.reading.mask = 0
        ask(service)
        assert service.reading.mask & EVERYTHING


def test_what_lies_too_deep_is_told_from_nearer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A way too long to be followed leaves no half answers behind: whoever asks further down gets the whole one."""
    monkeypatch.setattr("fastness.tool.project.names.memory._DEEPEST", 40)
    names = [f"a{number}" for number in range(100)]
    chain = "\n".join(f"{name} = {following}" for name, following in zip(names, [*names[1:], "Made()"], strict=True))
    asked = project({"main.py": f"class Made: ...\n{chain}"})
    module = asked.modules["main.py"]
    resolver = Resolver(asked)
    near = module.tree.body[-10].value  # type: ignore[attr-defined]
    assert not _answer(resolver, module.tree.body[1].value, module)[0]  # type: ignore[attr-defined]
    assert _answer(resolver, near, module) == _answer(Resolver(asked), near, module)
    for statement in reversed(module.tree.body[1:]):
        assert _answer(resolver, statement.value, module)[0]  # type: ignore[attr-defined]
