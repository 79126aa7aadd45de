"""A module with an outline says what one that is read says, and is not read for that."""

import json

import pytest

from fastness.tool.check import engine
from fastness.tool.check.config import Config
from fastness.tool.check.examples import files, project
from fastness.tool.check.rules import catalogue
from fastness.tool.project import Project
from fastness.tool.project.kept.edits import compared
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.outline import draw

_SOURCE = """
import os
import json as js
from typing import TYPE_CHECKING
from . import sibling

if TYPE_CHECKING:
    from elsewhere import Thing

@decorated("x")
class Base(list):
    field: int = 1

    @app.get("/")
    async def show(self, name="x"):
        from late import thing

        def inner():
            yield js.loads(name)

        return thing(inner())()

    def abstract(self):
        "Says nothing."

    def abstract(self):
        raise NotImplementedError

class Empty: ...

def outer():
    class Local(Base):
        def method(self): ...
    return Local
"""


def _pair(source: str) -> tuple[Module, Module]:
    """A module that is read, and the same one with its outline, as it comes from a file."""
    read, outlined = (Module("app/main.py", "app.main", source.encode()) for _ in range(2))
    outlined.outline = json.loads(json.dumps(draw(read.indexed())))
    return read, outlined


def test_an_outline_tells_what_the_file_tells() -> None:
    """Definitions, imports and names of calls are told without reading, in the order of the file."""
    read, outlined = _pair(_SOURCE)
    names = ("name", "qualified", "line", "is_async", "is_empty", "decorated_by")
    assert [[getattr(one, n) for n in names] for one in outlined.functions] == [
        [getattr(one, n) for n in names] for one in read.functions
    ]
    assert [one.qualified for one in outlined.classes] == [one.qualified for one in read.classes]
    assert [one.owner and one.owner.name for one in outlined.functions] == [
        one.owner and one.owner.name for one in read.functions
    ]
    assert outlined.imported == read.imported
    assert outlined.calls_by_name.names == read.calls_by_name.names
    assert outlined.calls_by_name.get("nowhere") == ()
    assert outlined.classes[0].method("nothing") is None
    assert outlined.classes[0].method("abstract") is outlined.functions[3]
    assert not outlined.is_read


@pytest.mark.parametrize("asked", ["node", "bindings", "calls", "has_await", "is_generator", "nodes", "body", "decorators"])
def test_who_asks_for_more_reads_the_file(asked: str) -> None:
    """The rest comes from the tree, and what was known before is the same object afterwards."""
    read, outlined = _pair(_SOURCE)
    known, classes = list(outlined.functions), list(outlined.classes)
    for one in known:
        getattr(one, asked)
    assert outlined.is_read
    assert all(now is before for now, before in zip(outlined.functions, known, strict=True))
    assert all(now is before for now, before in zip(outlined.classes, classes, strict=True))
    assert [one.is_generator for one in known] == [one.is_generator for one in read.functions]
    assert [site.name for site in outlined.all_calls] == [site.name for site in read.all_calls]
    assert known[3] is outlined.classes[0].method("abstract")


@pytest.mark.parametrize(
    ("old", "new", "seen"),
    [
        ("yield js.loads(name)", "yield name", False),
        ("from late import thing", "from late import (\n            thing,\n        )", False),
        ('"Says nothing."', '"Says"\n\n        "something."', False),
        ("field: int = 1", "field: int = 2", True),
        ("name=", "names=", True),
        ("class Local(Base):", "class Other(Base):", True),
        ("raise NotImplementedError", "self.value = 1", True),
        ("raise NotImplementedError", "return 1", True),  # it is empty no more
        ("return Local", "global Local\n    Local = 1\n    return Local", True),
        ("return Local", "yield Local", True),
        ("return Local", "known = []\n    known.append(Local)\n    return Local", False),
        ("return Local", "os.append(Local)\n    return Local", True),
        ("return Local", "js['a'] = Local\n    return Local", True),
        ("return thing(", "self.shown['a'] = 1\n        return thing(", True),
        ("class Empty: ...", "class Empty: ...\n\ndef one_line(): return 1", True),
    ],
)
def test_what_is_seen_from_outside(old: str, new: str, seen: bool) -> None:
    """The surface of a file is the same when other bodies define nothing else outside of themselves."""
    assert old in _SOURCE
    before, after = (_pair(source)[1].outline or {} for source in (_SOURCE, _SOURCE.replace(old, new)))
    assert (before["surface"] != after["surface"]) == seen


@pytest.mark.parametrize(
    ("old", "new", "another"),
    [
        ("return Local", "return None", False),
        ("class Empty: ...", "class Empty: ...\n\ndef more(): ...", False),
        ("class Empty: ...", "def more(): ...\n\nclass Empty: ...", False),
        ("class Empty: ...", "class Empty: ...\n\n@decorated\nclass More(Base):\n    def more(self): self.x = 1", True),
        ("def outer():", "def more(): ...\n\ndef outer():", False),
        ("class Empty: ...", "class Empty: ...\n\ndef named(): ...", True),
        ("class Empty: ...", "class Empty: ...\n\ndef outer(): ...", True),
        ("class Empty: ...", "class Empty: ...\n\ndef __getattr__(name): ...", True),
        ("class Empty: ...", "class Empty: ...\n\nmore = 1", True),
        ("class Empty: ...", "class Empty: ...\n\ndef more(): js['a'] = 1", True),
        ("class Empty: ...", "class Empty: ...\n\ndef more():\n    global empty\n    empty = 1", True),
        ("class Empty: ...", "class More: ...\n\nclass Empty: ...", True),
        ("class Empty: ...", "def more(): ...", True),
        ("field: int = 1", "field: int = 2\n\n    def more(self): ...", True),
    ],
)
def test_what_nobody_names_is_not_seen_from_outside(old: str, new: str, another: bool) -> None:
    """A function more, wherever it stands; a class after all others, whose places are known. Another file names `named`."""
    assert old in _SOURCE
    other = Module("app/other.py", "app.other", b"from app.main import named")
    before, after = _pair(_SOURCE)[0], _pair(_SOURCE.replace(old, new))[0]
    after.bit, after.inner_bit = 8, 16
    assert (compared(after, draw(before), [after, other]).seen == after.bit) == another


def test_a_body_on_the_line_of_its_head_is_seen() -> None:
    """What cannot be cut out by lines is a part of the surface."""
    first, second = (_pair(f"def one(\n    a): return {value}\n")[1].outline or {} for value in (1, 2))
    assert first["surface"] != second["surface"]


def test_there_is_nothing_else() -> None:
    """What a definition does not have is told at once, read or not."""
    for module in _pair(_SOURCE):
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            module.functions[0].nothing  # type: ignore[attr-defined] # noqa: B018


@pytest.mark.parametrize("rule", catalogue().values(), ids=lambda rule: rule.name)
def test_rules_find_the_same(rule: object) -> None:
    """Every rule finds in its examples, known by their outlines, what it finds when they are read first."""
    for example in rule.examples:  # type: ignore[attr-defined]
        sources = files(example)
        read, outlined = project(sources), project(sources)
        for module in read.readable:
            outlined.modules[module.path].outline = draw(module)
        outlined.faults.update(read.faults)
        assert _found(outlined, rule) == _found(read, rule)


def _found(checked: Project, rule: object) -> list[object]:
    report = engine.check(checked, Config(), rules=[rule])  # type: ignore[list-item]
    assert not report.failures
    return list(report.findings)
