"""How facts and guesses meet: which rules run with which facts, and who has the last word."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import ModuleType

from fastness.tool.boot import Boot, BootedApp, Probed
from fastness.tool.check import engine, examples
from fastness.tool.check.config import Config
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Found, Rule, read, rule
from fastness.tool.check.rules import catalogue
from fastness.tool.findings import Finding, Severity
from fastness.tool.project import Service

BootSources = Callable[[Mapping[str, str]], Boot]

APP = """
from fastapi import APIRouter, FastAPI
router = APIRouter()

@router.get("/{name}")
def one(name: str): return {}

@router.get("/me")
def me(): return {}

app = FastAPI()
app.include_router(router)
"""
SECOND = """
from fastapi import FastAPI

other = FastAPI()

@other.get("/{name}")
def one(name: str): return {}

@other.get("/me")
def me(): return {}
"""
UNREACHABLE = "contracts/unreachable-route"


def _rule(check: Callable[..., Iterator[Found]]) -> Rule:
    module = ModuleType("rules.testing.example", "Title.")
    module.check = rule(severity=Severity.ERROR, practice="1.1", help="help")(check)  # type: ignore[attr-defined]
    return read(module)


def _found(sources: Mapping[str, str], boot: Boot | None, *rules: Rule) -> list[Finding]:
    report = engine.check(examples.project(sources), Config(), rules=rules or [catalogue()[UNREACHABLE]], boot=boot)
    assert not report.failures
    return list(report.findings)


def test_a_rule_runs_when_its_facts_are_there(boot_sources: BootSources) -> None:
    """Without facts only what needs none runs; findings say what they are based on."""

    def one() -> Iterator[Found]:
        yield Found("app/main.py", 1, 1, "found")

    def static(service: Service, served: Served | None, probed: Probed | None) -> Iterator[Found]:
        yield from one()

    def booted(app: BootedApp) -> Iterator[Found]:
        yield from one()

    def asked(served: Served, probed: Probed) -> Iterator[Found]:
        yield from one()

    rules = [replace(_rule(check), name=f"testing/{check.__name__}") for check in (static, booted, asked)]
    sources = {"app/main.py": APP}
    boot = boot_sources(sources)
    ran = {finding.rule: finding.source for finding in _found(sources, boot, *rules)}
    assert ran == {"testing/static": "static", "testing/booted": "boot", "testing/asked": "probe"}
    assert {f.rule for f in _found(sources, replace(boot, probed=None), *rules)} == {"testing/static", "testing/booted"}
    assert {f.rule for f in _found(sources, None, *rules)} == {"testing/static"}


def test_facts_and_guesses_are_one_finding(boot_sources: BootSources) -> None:
    """What the sources and the app both say is reported once, at the same line, as the fact; another app is still guessed."""
    sources = {"app/main.py": APP, "app/second.py": SECOND}
    boot = boot_sources(sources)
    assert [(f.path, f.line, f.source) for f in _found(sources, None)] == [
        ("app/main.py", 9, "static"),
        ("app/second.py", 10, "static"),
    ]
    assert [(f.path, f.line, f.source) for f in _found(sources, boot)] == [
        ("app/main.py", 9, "boot"),
        ("app/second.py", 10, "static"),
    ]


def test_a_comment_that_facts_made_unnecessary_is_no_finding(boot_sources: BootSources) -> None:
    """A comment that a run without facts needs is not called unused by a run with them, and allows both."""
    allowed = APP.replace("def me", f"# fastness: allow[{UNREACHABLE}] an alias for old clients\ndef me")
    for text in (allowed, allowed.replace('"/me"', '"/me/now"')):
        assert not _found({"app/main.py": text}, boot_sources({"app/main.py": text}))


def test_a_response_model_that_is_a_table_is_found(boot_sources: BootSources) -> None:
    """The class decides, as the app has it: an entity that the sources do not show, and a name that is only like one."""
    source = """
from fastapi import FastAPI
from pydantic import BaseModel

class User(BaseModel):
    password_hash: str

class UserOut(BaseModel):
    name: str

mapped = type("Mapped", (User,), {"__mapper__": object()})
app = FastAPI()

@app.get("/users", response_model=list[mapped])
def users(): return []

@app.get("/names", response_model=list[UserOut])
def names(): return []
"""
    sources = {"app/main.py": source}
    findings = _found(sources, boot_sources(sources), catalogue()["contracts/orm-entity-in-response"])
    assert [(finding.line, finding.source) for finding in findings] == [(15, "boot")]
