"""What is known stays known whatever else is edited, what is new counts, and what is gone is named."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.tool.check import baseline, engine, examples
from fastness.tool.check.config import Config
from fastness.tool.check.rules import catalogue
from fastness.tool.errors import CommandError
from fastness.tool.findings import Report
from fastness.tool.project.files.project import Project

RULES = [catalogue()[name] for name in ("reliability/outbound-call-without-timeout", "concurrency/blocking-call-in-async")]
SOURCE = """\
import requests
from fastapi import FastAPI

app = FastAPI()

def one():
    requests.get("https://one.example")
    return requests.get("https://one.example")

@app.get("/")
async def root():
    return requests.post("https://two.example")
"""
PATH = "app/main.py"


def _report(*texts: str, paths: tuple[str, ...] = (PATH,)) -> tuple[Report, Project]:
    project = examples.project(dict(zip(paths, texts, strict=True)))
    return engine.check(project, Config(), rules=RULES), project


def _known() -> Counter[baseline.Entry]:
    return baseline.updated(*_report(SOURCE), Counter())


def _after(*texts: str, paths: tuple[str, ...] = (PATH,)) -> Report:
    report, project = _report(*texts, paths=paths)
    return baseline.apply(report, project, _known())


@given(st.lists(st.tuples(st.integers(0, SOURCE.count("\n")), st.sampled_from(["", "# note", "# requests.get()"])), max_size=5))
def test_other_edits_bring_nothing_back(added: list[tuple[int, str]]) -> None:
    """Lines come and go around the findings: all four are known, and none is gone."""
    lines = SOURCE.split("\n")
    for place, text in added:
        lines.insert(place, text)
    report = _after("\n".join(lines))
    assert (list(report.findings), len(report.known), list(report.resolved)) == ([], 4, [])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('requests.post("https://two.example")', "requests.post( 'https://two.example' )  # slow"),
        ("async def root():", "async def root(page: int = 1) -> object:"),
        ("def one", "def first"),
    ],
)
def test_edits_of_the_same_place_bring_nothing_back(old: str, new: str) -> None:
    """Another format, another signature and another name of the function around it leave a finding known."""
    report = _after(SOURCE.replace(old, new))
    assert (list(report.findings), list(report.resolved)) == ([], [])


def test_a_moved_file_brings_nothing_back() -> None:
    """A file with known findings may be renamed; a copy of it has new ones."""
    assert not _after(SOURCE, paths=("app/other.py",)).findings
    assert len(_after(SOURCE, SOURCE, paths=(PATH, "app/other.py")).findings) == 4


def test_new_findings_count() -> None:
    """One more of the same in the same function is new: two were known, not any number."""
    line = '    requests.get("https://one.example")\n'
    report = _after(SOURCE.replace(line, line * 2))
    assert [finding.rule for finding in report.findings] == ["reliability/outbound-call-without-timeout"]
    assert len(report.known) == 4


def test_gone_findings_are_named_and_shrink_the_file() -> None:
    """What is fixed is named with its place, and is not in the next baseline."""
    text = SOURCE.replace('requests.get("https://one.example")', "1")
    report = _after(text)
    assert report.resolved == ["app/main.py (one): reliability/outbound-call-without-timeout"] * 2
    assert baseline.updated(*_report(text), _known()).total() == 2


def test_what_a_run_cannot_see_is_not_gone() -> None:
    """Without the rule, without the file's parsing or without booting, an entry is neither named nor dropped."""
    booted = baseline.Entry("reliability/outbound-call-without-timeout", PATH, "", "0" * 16, "boot")
    unread = baseline.Entry("reliability/outbound-call-without-timeout", "app/broken.py", "", "0" * 16, "static")
    other = baseline.Entry("security/unverified-jwt", PATH, "", "0" * 16, "static")
    known = _known() + Counter([booted, unread, other])
    report, project = _report(SOURCE, "def\n", paths=(PATH, "app/broken.py"))
    assert not baseline.apply(report, project, known).resolved
    assert baseline.updated(report, project, known) == known


def test_files_are_read_as_they_were_written(tmp_path: Path) -> None:
    """What is written is read again, holds no source text, and has one line for each entry."""
    file = tmp_path / "baseline.json"
    baseline.write(file, _known())
    assert baseline.read(file) == _known()
    assert "example" not in file.read_text()
    assert file.read_text().count("\n") == len(_known()) + 2


@pytest.mark.parametrize(
    "content",
    [
        None,
        "",
        "[]",
        "{",
        '{"version": 2, "findings": []}',
        '{"version": 1, "findings": {}}',
        '{"version": 1, "findings": [1]}',
        '{"version": 1, "findings": [{"rule": "a/b"}]}',
        '{"version": 1, "findings": [{"rule":"a/b","path":"a","symbol":"","text":"","source":"static","count":0}]}',
        '{"version": 1, "findings": [{"rule":"a/b","path":"a","symbol":"","text":"","source":"static","count":1e9}]}',
        '{"version": 1, "findings": [{"rule":"a/b","path":1,"symbol":"","text":"","source":"static","count":1}]}',
        '{"version": 1, "findings": [{"rule":"a/b","path":"a","symbol":"","text":"","source":"guess","count":1}]}',
        "[" * 100_000,
    ],
)
def test_an_unusable_file_is_refused(tmp_path: Path, content: str | None) -> None:
    """A baseline that is missing or broken stops the run with a sentence that names it: it must not pass for an empty one."""
    file = tmp_path / "baseline.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(CommandError, match=r"baseline\.json") as refused:
        baseline.read(file)
    assert refused.value.code == 2
    assert "\n" not in str(refused.value)
