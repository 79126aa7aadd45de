"""Repairs: what they make of the rules' own examples, and what becomes of those that are wrong."""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any, Self

import pytest
from fastapi.testclient import TestClient

from fastness.tool.check import engine, examples, fixing
from fastness.tool.check.config import Config
from fastness.tool.check.repair import Edit, Repair
from fastness.tool.check.rule import Bad, Found, Rule, read, rule
from fastness.tool.check.rules import catalogue
from fastness.tool.findings import Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.source.module import Module

FIXABLE = [one for one in catalogue().values() if one.fixer is not None]
BAD = [
    pytest.param(one, example, id=f"{one.name}-{number}")
    for one in FIXABLE
    for number, example in enumerate(one.examples)
    if isinstance(example, Bad) and not example.booted
]


def _fix(sources: Mapping[str, str], *rules: Rule, unsafe: bool = True) -> fixing.Fixed:
    project = examples.project(sources)
    report = engine.check(project, Config(), rules=rules)
    assert report.findings
    return fixing.fix(project, report, Config(), {one.name: one for one in rules}, unsafe=unsafe)


@pytest.mark.parametrize(("rule", "example"), BAD)
def test_bad_examples_are_fixed(rule: Rule, example: Bad) -> None:
    """A bad example is corrected but for what it leaves to a person, parses, and is no worse to any other rule."""
    fixed = _fix(examples.files(example), *catalogue().values())
    for text in fixed.texts.values():
        ast.parse(text)
    still = [finding for finding in fixed.report.findings if finding.rule == rule.name]
    assert len(still) == example.by_hand, "\n".join(fixing.diff(examples.project(examples.files(example)), fixed.texts))
    refused = [left for left in fixed.left if left.finding.rule == rule.name]
    assert len(refused) == example.by_hand


@pytest.mark.parametrize("rule", FIXABLE, ids=lambda rule: rule.name)
def test_what_is_fixed_stays_fixed(rule: Rule) -> None:
    """Fixing what was fixed changes nothing: there is something to fix in none of the good examples either."""
    assert rule.fix is not Fix.NONE
    for example in rule.examples:
        if isinstance(example, Bad) and not example.booted:
            once = _fix(examples.files(example), rule)
            again = fixing.fix(once.project, once.report, Config(), {rule.name: rule}, unsafe=True)
            assert not again.texts


def _assigns(fix: object) -> Rule:
    """A rule that finds every assignment to `bad`."""

    def check(module: Module) -> Iterator[Found]:
        for node in module.tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "bad":
                yield Found(module.path, node.lineno, 1, "bad")

    module = ModuleType("rules.testing.example", "Title.")
    module.check = rule(severity=Severity.ERROR, practice="1.1", help="help", fix=Fix.SAFE)(check)  # type: ignore[attr-defined]
    module.fix = fix  # type: ignore[attr-defined]
    return read(module)


def _line(service: Service, finding: Finding) -> tuple[int, int]:
    lines = service.project.modules[finding.path].lines
    start = sum(len(line) + 1 for line in lines[: finding.line - 1])
    return start, start + len(lines[finding.line - 1])


SOURCE = {"app/main.py": "a = 1\nbad = 2\nb = 3\nbad = 4\nbad = 5\n"}


def test_only_repairs_that_hold_are_made() -> None:
    """Of three repairs one breaks the syntax and one corrects nothing: the third is made, and the others are named."""

    def fix(service: Service, finding: Finding) -> Repair:
        text = {2: "good = 2", 4: "bad = = 4", 5: "bad = 6"}[finding.line]
        return Repair((Edit(finding.path, *_line(service, finding), text),))

    fixed = _fix(SOURCE, _assigns(fix))
    assert fixed.texts == {"app/main.py": "a = 1\ngood = 2\nb = 3\nbad = 4\nbad = 5\n"}
    assert {left.finding.line: left.reason for left in fixed.left} == {
        4: "app/main.py would not parse any more",
        5: "testing/example would still be found",
    }
    assert [finding.line for finding in fixed.report.findings] == [4, 5]


def test_a_repair_that_brings_another_finding_is_not_made() -> None:
    """Moving a fault to another line corrects nothing; lines that a repair adds do not make old findings new."""

    def moves(service: Service, finding: Finding) -> Repair:
        start, end = _line(service, finding)
        return Repair((Edit(finding.path, start, end, "c = 1"), Edit(finding.path, 0, 0, "bad = 0\n")))

    def adds(service: Service, finding: Finding) -> Repair:
        return Repair((Edit(finding.path, *_line(service, finding), "c = (\n    2\n)"),))

    assert not _fix(SOURCE, _assigns(moves)).texts
    fixed = _fix(SOURCE, replace(_assigns(adds), fixer=lambda s, f: adds(s, f) if f.line == 2 else None))
    assert [finding.line for finding in fixed.report.findings] == [6, 7]


def test_edits_that_meet_wait_for_another_run() -> None:
    """Two repairs of one range are not both made; equal edits are one."""

    def fix(service: Service, finding: Finding) -> Repair:
        text = service.project.modules[finding.path].text
        return Repair((Edit(finding.path, 0, len(text), f"good = {finding.line}\n"),))

    fixed = _fix(SOURCE, _assigns(fix))
    assert not fixed.texts or len(fixed.made) == 1
    assert any("run --fix again" in left.reason for left in fixed.left)


def test_review_waits_for_unsafe() -> None:
    """What needs review is not made by `--fix` alone, whether the rule says so or the repair."""
    blocking = catalogue()["concurrency/blocking-call-in-async"]
    timeout = catalogue()["reliability/outbound-call-without-timeout"]
    never = {"app/main.py": "import requests\nrequests.get('x', timeout=None)\n"}
    for rule_, sources in ((blocking, examples.files(blocking.examples[0])), (timeout, never)):
        assert not _fix(sources, rule_, unsafe=False).texts
        assert _fix(sources, rule_).texts


@pytest.mark.parametrize(
    ("body", "elsewhere"),
    [
        ("await sleep(1)\n    return get('x')", ""),
        ("async with lock:\n        return get('x')", ""),
        ("later()\n    return get('x')", ""),
        ("return get('x')", "async def other():\n    return await root()\n"),
        ("return get('x')", "handler = root\n"),
    ],
)
def test_async_stays_where_the_loop_is_needed(body: str, elsewhere: str) -> None:
    """An endpoint that awaits, works with the loop, is awaited or is handed on stays `async def`."""
    source = (
        "import asyncio\nfrom asyncio import sleep\nfrom fastapi import FastAPI\nfrom requests import get\n\n"
        "app = FastAPI()\nlock = asyncio.Lock()\n\ndef later():\n    asyncio.get_running_loop().call_soon(print)\n\n"
        f"@app.get('/')\nasync def root():\n    {body}\n\n{elsewhere}"
    )
    fixed = _fix({"app/main.py": source}, catalogue()["concurrency/blocking-call-in-async"])
    assert not fixed.texts
    assert fixed.left[0].reason in {
        "something in it needs the event loop",
        "not only FastAPI calls it, as an endpoint or a dependency",
    }


def test_formatting_is_kept() -> None:
    """Comments, trailing commas, names of imports and everything else in the file stay as they were."""
    source = (
        "from fastapi import (\n    Depends,\n    FastAPI as App,  # ours\n)\nimport requests\n\napp = App()\n\n\n"
        "@app.get('/ü')\ndef ü(\n    limit: int   =   250,  # many\n):\n"
        "    return requests.get(\n        'é',\n        params={},  # none\n    )\n"
    )
    names = ("contracts/unbounded-input", "reliability/outbound-call-without-timeout")
    fixed = _fix({"app/main.py": source}, *(catalogue()[name] for name in names))
    assert fixed.texts["app/main.py"] == source.replace(
        "FastAPI as App,  # ours", "FastAPI as App,\n    Query,  # ours"
    ).replace("import requests\n", "import requests\nfrom typing import Annotated\n").replace(
        "limit: int   =", "limit: Annotated[int, Query(le=250)]   ="
    ).replace("params={},  # none\n", "params={},  # none\n        timeout=10,\n")


@pytest.mark.parametrize(
    ("rule", "source"),
    [
        ("reliability/unbounded-retry", "import tenacity\n\n@tenacity.retry\nasync def run_forever(): ...\n"),
        ("reliability/unbounded-retry", "import tenacity\n\n@tenacity.retry()\ndef a():\n    while True:\n        ...\n"),
        (
            "reliability/outbound-call-without-timeout",
            "import aiohttp\n\nasync def a():\n    async with aiohttp.ClientSession() as s:\n        await s.ws_connect('x')\n",
        ),
    ],
)
def test_what_is_meant_to_last_is_asked_about(rule: str, source: str) -> None:
    """A retry around a loop, and a session that streams, may be without a bound on purpose."""
    assert not _fix({"app/main.py": source}, catalogue()[rule], unsafe=False).texts
    assert _fix({"app/main.py": source}, catalogue()[rule]).texts


def test_aligned_parameters_stay_aligned() -> None:
    """What stands under the parenthesis of `async def` stands under that of `def`."""
    source = (
        "from fastapi import FastAPI\nfrom requests import get\n\napp = FastAPI()\n\n@app.get('/')\n"
        "async def root(a: int,\n               b: int = 1):\n    return get('x')\n"
    )
    fixed = _fix({"app/main.py": source}, catalogue()["concurrency/blocking-call-in-async"])
    assert "def root(a: int,\n         b: int = 1):\n" in fixed.texts["app/main.py"]


def _run(source: str) -> dict[str, Any]:
    """The names of a module that is made of this source."""
    namespace: dict[str, Any] = {"__name__": "app.main"}
    exec(compile(source, "app/main.py", "exec"), namespace)
    return namespace


EVENTS = """
from fastapi import FastAPI

calls = []
app = FastAPI()

@app.on_event("startup")
async def first(): calls.append("first")

@app.on_event("shutdown")
def closed(): calls.append("closed")

def second(): calls.append("second")

app.add_event_handler("startup", second)

@app.get("/")
def root(): return calls
"""


def test_a_lifespan_runs_what_events_ran() -> None:
    """Start-up in the order of registration, then requests, then shutdown."""
    fixed = _fix({"app/main.py": EVENTS}, catalogue()["lifespan/deprecated-event-handler"])
    app = _run(fixed.texts["app/main.py"])
    assert "on_event" not in fixed.texts["app/main.py"]
    with TestClient(app["app"]) as client:
        assert client.get("/").json() == ["first", "second"]
    assert app["calls"] == ["first", "second", "closed"]


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("app = FastAPI()", "app = FastAPI(**OPTIONS)", "the app has a lifespan, or events"),
        ("app = FastAPI()", "app = FastAPI(on_startup=[])", "the app has a lifespan, or events"),
        ("app = FastAPI()", "app = make(FastAPI())", "cannot be told"),
        ("async def first()", "async def first(state)", "first takes arguments"),
        ("def second()", "def first()", "first is defined more than once"),
        ("def second()", "@cache\ndef second()", "what its decorators make of second"),
        ("@app.get", "from tortoise import register_tortoise\nregister_tortoise(app)\n@app.get", "may add events of its own"),
        ("@app.get", "if DEBUG:\n    app.add_event_handler('startup', print)\n@app.get", "which function it registers"),
        ("from fastapi import FastAPI", "from fastapi import FastAPI\nfrom x import asynccontextmanager", "something else"),
    ],
)
def test_events_that_a_lifespan_might_lose_stay(before: str, after: str, reason: str) -> None:
    """Where it is not certain that all events of the app are seen, and what they call, nothing is moved."""
    fixed = _fix({"app/main.py": EVENTS.replace(before, after)}, catalogue()["lifespan/deprecated-event-handler"])
    assert not fixed.texts
    assert all(reason in left.reason for left in fixed.left), [left.reason for left in fixed.left]


ROUTES = """
from fastapi import FastAPI

app = FastAPI()

@app.get("/{name}")
def named(name: str): return name

LIMIT = 3

@app.get("/me")
def me(limit: int = 3): return "it is me"
"""


def test_a_route_that_is_moved_up_answers() -> None:
    """What hid it answers all others still."""
    fixed = _fix({"app/main.py": ROUTES}, catalogue()["contracts/unreachable-route"])
    with TestClient(_run(fixed.texts["app/main.py"])["app"]) as client:
        assert (client.get("/me").json(), client.get("/you").json()) == ("it is me", "you")


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("= 3)", "= LIMIT)", "it uses what is defined"),
        ("LIMIT = 3", "app.mount('/x', app)", "may depend on their order"),
        ("LIMIT = 3", "def me(): ...", "it uses what is defined"),
        ('"/me"', '"/{other}"', "it would hide a route in its turn"),
        ('@app.get("/me")', '@app.get("/me")\n@app.get("/you")', "several routes"),
        ("limit: int = 3", 'limit: "LIMIT" = 3', "it uses what is defined"),
    ],
)
def test_routes_whose_order_may_matter_stay(before: str, after: str, reason: str) -> None:
    """A route is not moved above what it uses, what it would hide, or what is no definition."""
    fixed = _fix({"app/main.py": ROUTES.replace(before, after)}, catalogue()["contracts/unreachable-route"])
    assert not fixed.texts
    assert all(reason in left.reason for left in fixed.left), [left.reason for left in fixed.left]


def test_findings_in_text_that_moves_are_not_new() -> None:
    """A route with a fault of its own can be moved: the fault goes with it, and is known there."""
    source = ROUTES.replace('return "it is me"', "return requests.get('x')").replace(
        "import FastAPI", "import FastAPI\nimport requests"
    )
    rules = [catalogue()[name] for name in ("contracts/unreachable-route", "reliability/outbound-call-without-timeout")]
    project = examples.project({"app/main.py": source})
    report = engine.check(project, Config(), rules=rules)
    hidden = [finding for finding in report.findings if finding.rule == "contracts/unreachable-route"]
    fixed = fixing.fix(project, report, Config(), {one.name: one for one in rules}, only=hidden, unsafe=True)
    assert [finding.rule for finding in fixed.report.findings] == ["reliability/outbound-call-without-timeout"]


SESSIONS = """
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session, sessionmaker

Local = sessionmaker()
app = FastAPI()

def get_db():
    with Local() as db:
        yield db
        db.commit()

@app.post("/")
def create(db: Session = Depends(get_db)) -> None: ...
"""


def test_a_commit_that_fails_is_told() -> None:
    """With the scope that the fix gives, the client of a request whose commit fails gets no 200."""
    sources = {"app/main.py": SESSIONS, "requirements.txt": "fastapi==0.130.0\n"}
    fixed = _fix(sources, catalogue()["persistence/commit-after-response"], unsafe=False)
    app = _run(fixed.texts["app/main.py"])

    class Failing:
        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None: ...

        def commit(self) -> None:
            raise ValueError("conflict")

    app["Local"] = Failing
    with TestClient(app["app"], raise_server_exceptions=False) as client:
        assert client.post("/").status_code == 500


@pytest.mark.parametrize(
    ("manifest", "before", "after", "reason"),
    [
        ("fastapi>=0.115", "", "", "needs FastAPI 0.121"),
        ("fastapi", "", "", "needs FastAPI 0.121"),
        ("fastapi>=0.121", "-> None: ...", "-> StreamingResponse: ...", "streams"),
        ("fastapi>=0.121", "(db: Session", "(tasks: BackgroundTasks, db: Session", "needs review"),
        ("fastapi>=0.121", "Depends(get_db)", "Depends(get_db, scope='request')", "with a scope already"),
    ],
)
def test_sessions_that_are_needed_longer_stay(manifest: str, before: str, after: str, reason: str) -> None:
    """A dependency is not ended early where the version is unknown, or where something may use it after the answer."""
    sources = {"app/main.py": SESSIONS.replace(before, after), "requirements.txt": f"{manifest}\n"}
    fixed = _fix(sources, catalogue()["persistence/commit-after-response"], unsafe=False)
    assert not fixed.texts
    assert all(reason in left.reason for left in fixed.left), [left.reason for left in fixed.left]
