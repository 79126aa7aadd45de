"""What is noted about functions is told again as it was found, without reading, and with what it was read from."""

import ast
import json

import pytest

from fastness.tool.check.examples import files, project
from fastness.tool.check.recall import noted, notes
from fastness.tool.check.rule import Rule
from fastness.tool.check.rules import catalogue
from fastness.tool.project import Project, Service
from fastness.tool.project.flow.calls import Edge, Outward
from fastness.tool.project.kept.notes import Note
from fastness.tool.project.kept.reading import EVERYTHING
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.outline import draw
from fastness.tool.project.source.symbols import Function

_TWO = {
    "one.py": "from two import made\n\ndef first(): return made()\n\ndef second(): ...\n",
    "two.py": "def made(): return made()\n",
}


def _function(service: Service, name: str) -> Function:
    return next(one for module in service.project.readable for one in module.functions if one.name == name)


def _again(service: Service, sources: dict[str, str]) -> Service:
    """The same project in a later run: with outlines and notes, as they come from a file."""
    later = Service(project(sources))
    for path, module in later.project.modules.items():
        if not service.project.faults.get(path):
            module.outline = json.loads(json.dumps(draw(service.project.modules[path])))
            later.project.faults[path] = None
    later.notes.kept = notes(*json.loads(json.dumps(noted(service.notes.made))))
    return later


def test_a_question_is_asked_once() -> None:
    """Whoever is told the answer has looked into the same files as who found it, and nobody else has."""
    service = Service(project(_TWO))
    first, two = _function(service, "first"), service.project.modules["two.py"]
    asked = []

    def find() -> int:
        asked.append(1)
        service.resolver.targets(first.calls[0])
        return 7

    for _ in range(2):
        service.reading.mask = EVERYTHING
        assert service.notes.ask("seven", first, find) == 7
        assert service.reading.mask & ~EVERYTHING == first.module.bit | first.module.inner_bit | two.bit
        assert service.reading.mask & EVERYTHING
    assert asked == [1]
    assert service.notes.made["one.py", "first", "seven"].mask & EVERYTHING == 0


def test_only_that_nothing_was_found_is_remembered() -> None:
    """What was found holds nodes, which the next run does not have."""
    service = Service(project(_TWO))
    first, second = _function(service, "first"), _function(service, "second")
    for _ in range(2):
        assert service.notes.search("calls", first, lambda: first.calls) == first.calls
        assert service.notes.search("calls", second, lambda: second.calls) == []
    assert service.notes.search("calls", second, lambda: [1]) == []
    assert list(service.notes.made) == [("one.py", "second", "calls")]


def test_what_depends_on_the_whole_project_is_not_kept() -> None:
    """Files, routes and whatever else all have a part in: it is found out again."""
    service = Service(project(_TWO))
    first = _function(service, "first")
    assert service.notes.ask("routes", first, lambda: len(service.routes)) == 0
    assert service.notes.made == {}


def test_a_mask_is_kept_as_it_is() -> None:
    """Written once for all notes that have it."""
    made = {("a.py", f"f{bit}", question): Note([bit], 1 << bit) for bit in (2, 700) for question in ("one", "two")}
    made["b.py", "", "one"] = Note((), 4)
    masks, _ = written = json.loads(json.dumps(noted(made)))
    assert len(masks) == 2
    assert notes(*written) == made


@pytest.mark.parametrize("rule", catalogue().values(), ids=lambda rule: rule.name)
def test_calls_are_told_again(rule: Rule) -> None:
    """Of every function and file in the examples of every rule: the same calls, and only who asks for nodes reads the file."""
    for example in rule.examples:
        sources = files(example)
        service = Service(project(sources))
        before = {_place(one): (service.graph.edges(one), service.graph.outward(one)) for one in _callers(service.project)}
        later = _again(service, sources)
        known = {(path, label) for path, label, _ in later.notes.kept}
        callers = [one for one in _callers(later.project) if _place(one) in known]
        after = {_place(one): (later.graph.edges(one), later.graph.outward(one)) for one in callers}
        assert not any(module.is_read for module in later.project.modules.values() if module.outline is not None)
        assert len(after) >= len(before) / 2
        for place, (edges, outward) in after.items():
            assert [_called(one) for one in edges] == [_called(one) for one in before[place][0]]
            assert [_called(one) for one in outward] == [_called(one) for one in before[place][1]]
        for caller in callers:
            for call in (*later.graph.edges(caller), *later.graph.outward(caller)):
                assert call.site in caller.calls or call.site is caller.calls[call.site.number]


def _callers(of: Project) -> list[Module | Function]:
    return [caller for module in of.readable for caller in (module, *module.functions)]


def _place(caller: Module | Function) -> tuple[str, str]:
    return (caller.path, "") if isinstance(caller, Module) else caller.label


def _called(call: Edge | Outward) -> object:
    site = call.site.number, call.site.line, call.site.awaited, call.site.looped
    if isinstance(call, Outward):
        return site, call.target.path
    return site, _place(call.target), call.target.qualified, call.handed, call.never


def test_labels_outlive_edits_of_bodies() -> None:
    """What is added in a function leaves the names of what stands outside as they are; no two have the same."""
    text = "def f():\n  def g(): ...\n\nclass f:\n  def g(self): ...\n  def g(self, x): ...\n"
    module = Module("a.py", "a", text.encode())
    assert module.labels == ["f#0", "f#0.<locals>.g", "f#1", "f#1.g#0", "f#1.g#1"]
    assert [one.name for one in module.labelled.values()] == ["f", "g", "f", "g", "g"]
    edited = Module("a.py", "a", text.replace("  def g(): ...", "  def more(): ...\n  def g(): ...").encode())
    assert set(module.labels) <= set(edited.labels)
    assert isinstance(module.labelled["f#1.g#1"].node, ast.FunctionDef)
