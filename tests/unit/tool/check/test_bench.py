"""How findings are drawn for reading, and how those of the corpus are compared with what was stored."""

import io
import json
import sys
import tarfile
from pathlib import Path

import pytest
from bench import check_sample, corpus
from bench.check_sample import Drawn

FINDINGS = [
    Drawn(f"o/p{project}", "app/main.py", line, f"family/r{rule}", "error", "m")
    for project in range(20)
    for rule in range(20)
    for line in range(5)
]


def test_a_seed_draws_the_same() -> None:
    """Whoever reads the same findings again gets the same sample, in whatever order they were found."""
    assert check_sample.draw(FINDINGS, 1) == check_sample.draw(reversed(FINDINGS), 1)
    assert check_sample.draw(FINDINGS, 1) != check_sample.draw(FINDINGS, 2)


def test_no_rule_and_no_project_fills_the_sample() -> None:
    """One that is found everywhere leaves room for the others."""
    noisy = [Drawn("o/noisy", "app/main.py", line, "family/r1", "error", "m") for line in range(1000)]
    sample = check_sample.draw([*noisy, *FINDINGS], 1)
    assert len(sample) == len(set(sample)) == check_sample.COUNT
    assert max(sum(one.rule == rule for one in sample) for rule in {one.rule for one in sample}) == check_sample.OF_ONE_RULE
    by_project = [sum(one.project == project for one in sample) for project in {one.project for one in sample}]
    assert max(by_project) <= check_sample.OF_ONE_PROJECT
    assert len(check_sample.draw(noisy, 1)) == check_sample.OF_ONE_RULE


def test_findings_of_checkouts(tmp_path: Path) -> None:
    """Errors and warnings of every directory, named as repositories are; what is mild is not drawn."""
    app = "import requests\nfrom fastapi import FastAPI\n\napp = FastAPI()\n\n\n@app.get('/')\ndef root():\n"
    for name in ("b+two", "a+one"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.py").write_text(app + "    return requests.get('https://example.org').json()\n")
    found = list(check_sample.findings(tmp_path))
    assert list(dict.fromkeys(one.project for one in found)) == ["a/one", "b/two"]
    assert {one.severity for one in found} == {"error", "warning"}
    assert ("main.py", 9, "reliability/outbound-call-without-timeout") in {(one.path, one.line, one.rule) for one in found}


def test_the_pins() -> None:
    """Every project is pinned by the hash of its sdist, and what is stored is of these."""
    pinned = corpus.pins(corpus.PINS.read_text())
    assert len(pinned) >= 8
    stored = json.loads(corpus.STORED.read_text())
    assert sorted(stored) == sorted(f"{pin.name} {pin.version}" for pin in pinned)
    assert all(one["findings"] for one in stored.values())


@pytest.mark.parametrize("line", ["tiled==1.0", "tiled>=1.0 \\\n    --hash=sha256:" + 64 * "0", "tiled==1.0 --hash=md5:0"])
def test_what_is_not_pinned_is_refused(line: str) -> None:
    """A version without the hash of what was reviewed could be anything."""
    with pytest.raises(ValueError, match="not a version with the sha256"):
        corpus.pins(f"# comment\n{line}\n")


ONE = {"files": 2, "not_checked": [], "findings": {"a/b": 1}}


@pytest.mark.parametrize(
    ("now", "before", "told"),
    [
        ({"p 1": ONE}, {"p 1": ONE}, []),
        ({"p 1": {**ONE, "findings": {"a/b": 2}}}, {"p 1": ONE}, ["p 1: a/b is found 2 times, 1 before"]),
        ({"p 1": {**ONE, "findings": {}}}, {"p 1": ONE}, ["p 1: a/b is found 0 times, 1 before"]),
        ({"p 1": {**ONE, "files": 1}}, {"p 1": ONE}, ["p 1: 1 files were read, 2 before"]),
        ({"p 1": {**ONE, "not_checked": ["a.py"]}}, {"p 1": ONE}, ["p 1: a.py is not checked any more"]),
        ({"p 1": {"failed": "exit code 2: boom"}}, {"p 1": ONE}, ["p 1: exit code 2: boom"]),
        ({"p 2": ONE}, {"p 1": ONE}, ["p 1: stored, but not pinned any more", "p 2: not stored yet"]),
    ],
    ids=["same", "more", "fewer", "files", "unreadable", "crash", "others"],
)
def test_every_difference_is_told(now: dict[str, object], before: dict[str, object], told: list[str]) -> None:
    """What the gate fails on."""
    assert corpus.failures(now, before)[: len(told)] == told
    assert bool(corpus.failures(now, before)) == bool(told)


def test_a_crash_is_never_stored() -> None:
    """It would be what the next run is compared with."""
    with pytest.raises(ValueError, match="p 1: exit code 2"):
        corpus.write({"p 1": {"failed": "exit code 2"}})


def _sdist(path: Path, **members: str) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in members.items():
            info = tarfile.TarInfo(name.replace("__", "/") + ".py")
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return path


def test_an_sdist_is_read_and_not_run(tmp_path: Path) -> None:
    """What would be the build's is a text like any other."""
    ran = tmp_path / "ran"
    sdist = _sdist(tmp_path / "p-1.tar.gz", p__setup=f"open({str(ran)!r}, 'w')\n", p__main="from fastapi import FastAPI\n")
    assert corpus._check(sdist)["files"] == 2
    assert not ran.exists()


def test_an_archive_that_leaves_its_directory_is_refused(tmp_path: Path) -> None:
    """The hash says that it is what was pinned; what was pinned may still be hostile."""
    hostile = _sdist(tmp_path / "p-1.tar.gz", **{"..__outside": "1\n"})
    with pytest.raises(tarfile.FilterError):
        corpus._check(hostile)


def test_a_check_without_an_end_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project that takes too long, and one that the tool cannot check, are told by name."""
    sdist = _sdist(tmp_path / "p-1.tar.gz", p__main="from fastapi import FastAPI\n")
    monkeypatch.setattr(corpus, "SECONDS", 0)
    assert corpus._check(sdist) == {"failed": "not checked within 0 s"}
    monkeypatch.setattr(corpus, "SECONDS", 60)
    monkeypatch.setattr(sys, "executable", "false")
    assert corpus._check(_sdist(tmp_path / "q-1.tar.gz", p__main="")) == {"failed": "exit code 1: "}
