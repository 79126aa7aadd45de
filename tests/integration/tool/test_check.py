"""The command as people and pipelines run it: a directory in, a report and an exit code out."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fastness.tool.cli import main

Check = Callable[..., subprocess.CompletedProcess[str]]

_BLOCKING = """
import requests
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root() -> dict[str, int]:
    return {"status": requests.get("https://example.org", timeout=1).status_code}
"""


def _check(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastness.tool", "check", *arguments, str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str]) -> Check:
    """Runs the command in this process: an interpreter of its own would take most of the time."""

    def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = main(["check", *arguments, str(directory)])
        return subprocess.CompletedProcess(arguments, code, *capsys.readouterr())

    return run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one fault."""
    (tmp_path / "main.py").write_text(_BLOCKING)
    return tmp_path


def test_findings_fail(project: Path) -> None:
    """One finding, its place, its evidence and its fix are told, and the exit code is 1."""
    done = _check(project)
    assert done.returncode == 1, done.stderr
    for text in ("concurrency/blocking-call-in-async", "main.py:9:1", "async def root()", "main.py:10", "fix:", "1 error"):
        assert text in done.stdout


def test_json_has_the_agreed_form(project: Path, check: Check) -> None:
    """The document has findings, what was not checked, and a summary; paths are relative."""
    (project / "broken.py").write_text("def\n")
    document = json.loads(check(project, "--static", "--format", "json").stdout)
    assert document.keys() == {"findings", "not_checked", "summary"}
    (finding,) = document["findings"]
    assert finding["evidence"] == [{"path": "main.py", "line": 10, "text": "calls requests.get: blocks: network"}]
    del finding["evidence"], finding["message"]
    assert finding == {
        "rule": "concurrency/blocking-call-in-async",
        "severity": "error",
        "path": "main.py",
        "line": 9,
        "column": 1,
        "count": 1,
        "source": "static",
        "fix": "review",
    }
    assert [one["path"] for one in document["not_checked"]] == ["broken.py"]
    assert document["summary"]["error"] == 1


def test_sarif_and_github(project: Path, check: Check) -> None:
    """Machines get the same finding in their own forms."""
    run = json.loads(check(project, "--format", "sarif").stdout)["runs"][0]
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"] == {"startLine": 9, "startColumn": 1}
    assert run["results"][0]["codeFlows"]
    assert (
        "::error file=main.py,line=9,col=1,title=concurrency/blocking-call-in-async::"
        in check(project, "--format", "github").stdout
    )


def test_nothing_of_the_project_runs(project: Path) -> None:
    """A file that would exit, write or hang on import is only read."""
    (project / "trap.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\nwhile True: pass\n")
    _check(project)
    assert not (project / "ran").exists()


def test_a_reason_allows_a_place(project: Path, check: Check) -> None:
    """An explained comment silences its line; one without a reason, or without a finding, is itself a finding."""
    comment = "# fastness: allow[concurrency/blocking-call-in-async]"
    (project / "main.py").write_text(_BLOCKING.replace("async def", f"{comment} one worker, no load\nasync def"))
    assert check(project).returncode == 0
    (project / "main.py").write_text(_BLOCKING.replace("async def", f"{comment}\nasync def"))
    assert "governance/unexplained-suppression" in check(project).stdout
    (project / "main.py").write_text("x = 1  # fastness: allow[security] why\n")
    assert "governance/unused-suppression" in check(project).stdout


def test_settings_are_honoured(project: Path, check: Check) -> None:
    """Rules can be selected, ignored with a reason, and silenced by path; a wrong setting is refused."""
    settings = project / "pyproject.toml"
    settings.write_text('[tool.fastness.check.ignore]\n"concurrency/blocking-call-in-async" = "being rewritten"\n')
    assert check(project).returncode == 0
    settings.write_text('[tool.fastness.check.per-path."main.py"]\n"concurrency/*" = "being rewritten"\n')
    assert check(project).returncode == 0
    settings.write_text('[tool.fastness.check]\nselect = ["security"]\n')
    assert check(project).returncode == 0
    assert check(project, "--select", "concurrency").returncode == 1
    for wrong in ('ignore = ["x"]', 'selct = ["security"]', 'select = ["no/such-rule"]', 'fail-on = "fatal"'):
        settings.write_text(f"[tool.fastness.check]\n{wrong}\n")
        done = check(project)
        assert done.returncode == 2
        assert done.stderr.startswith("fastness: ")


def test_severity_decides_about_failure(project: Path, check: Check) -> None:
    """Information alone does not fail, unless it is asked to."""
    (project / "main.py").write_text(
        "import fastapi, sqlalchemy\n\n\ndef connect(url: str) -> object:\n    return sqlalchemy.create_engine(url)\n"
    )
    assert check(project).returncode == 0
    assert check(project, "--fail-on", "info").returncode == 1


def test_another_project_is_told_from_a_clean_one(project: Path, check: Check) -> None:
    """Where no file names FastAPI, that nothing is found is no success; what is found all the same is told."""
    (project / "main.py").write_text("print(1)\n")
    done = check(project)
    assert (done.returncode, "is no FastAPI project" in done.stderr) == (2, True)
    (project / "main.py").write_text("import requests\n\nrequests.get('https://example.org')\n")
    assert check(project).returncode == 1


@pytest.mark.timeout(60)
def test_what_is_no_file_is_not_waited_for(project: Path) -> None:
    """A named pipe of any name gives nothing to read, ever."""
    for name in ("pipe.py", "Dockerfile", "CODEOWNERS"):
        os.mkfifo(project / name)
    assert _check(project).returncode == 1


@pytest.mark.parametrize("content", [None, "README.md"])
def test_nothing_to_check(tmp_path: Path, content: str | None, check: Check) -> None:
    """A directory without Python, or none at all, cannot be checked: a sentence and exit code 2."""
    directory = tmp_path if content else tmp_path / "missing"
    if content:
        (tmp_path / content).write_text("hello")
    done = check(directory)
    assert done.returncode == 2
    assert "directory" in done.stderr
    assert done.stdout == ""


def test_odd_files_are_named(tmp_path: Path) -> None:
    """Binary sources, deep nesting and merge markers are not checked, by name; the rest is."""
    (tmp_path / "main.py").write_text(_BLOCKING)
    (tmp_path / "binary.py").write_bytes(b"x = '\xff\xfe'\n\x00")
    (tmp_path / "merge.py").write_text("<<<<<<< HEAD\nx = 1\n=======\n")
    (tmp_path / "deep.py").write_text("x = " + "(" * 3000 + ")" * 3000 + "\n")
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    document = json.loads(_check(tmp_path, "--format", "json").stdout)
    assert {one["path"] for one in document["not_checked"]} == {"binary.py", "merge.py", "deep.py"}
    assert len(document["findings"]) == 1


def test_rules_explain_themselves() -> None:
    """`explain` prints a rule's documentation, lists all, and says what is near a wrong name."""
    command = [sys.executable, "-m", "fastness.tool", "explain"]
    one = subprocess.run([*command, "security/unverified-jwt"], capture_output=True, text=True, check=False)
    assert one.returncode == 0
    assert "algorithms" in one.stdout
    listed = subprocess.run([*command, "--all"], capture_output=True, text=True, check=False)
    assert "security/unverified-jwt" in listed.stdout
    wrong = subprocess.run([*command, "unverified-jwt"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "security/unverified-jwt" in wrong.stderr


_TWICE = """
import sys
from fastness.tool.check import beside
from fastness.tool.cli import main

forked = []
fork = beside._fork
beside._fork = lambda work: forked.append(work) or fork(work)
beside.possible = lambda: True
code = main(sys.argv[1:])
print(len(forked), file=sys.stderr)
sys.exit(code)
"""

_DIES = """
import os, signal, sys
from fastness.tool.check import beside, engine
from fastness.tool.cli import main

parent, outcome = os.getpid(), engine._outcome
engine._outcome = lambda *given: outcome(*given) if os.getpid() == parent else os.kill(os.getpid(), signal.SIGKILL)
beside.possible = lambda: True
sys.exit(main(sys.argv[1:]))
"""

_forks = pytest.mark.skipif(sys.platform != "linux", reason="the work is shared on Linux only")


def _script(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", source, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def service(project: Path) -> Path:
    """Faults for both halves of the rules, a test, and two files that no version of Python reads."""
    (project / "users.py").write_text(
        "from main import root, app\n\n\n@app.get('/u')\nasync def users(name: str):\n    open(name)\n"
    )
    (project / "tests").mkdir()
    (project / "tests" / "test_users.py").write_text("def test_users(client):\n    client.get('/u')\n")
    (project / "tests" / "test_broken.py").write_text("def test_broken(:\n")
    (project / "broken.py").write_text("class :\n")
    return project


@_forks
def test_two_processes_tell_the_same(service: Path) -> None:
    """What is found, and what is not read, is the same text in one process and in two."""

    def told(*arguments: str) -> tuple[int, str, list[str]]:
        done = _script(_TWICE, "check", "--no-cache", "--format", "json", *arguments, str(service))
        return done.returncode, done.stderr, [line for line in done.stdout.splitlines() if '"seconds"' not in line]

    code, forks, one = told("--jobs", "1")
    assert (code, forks.strip()) == (1, "0")
    assert {"concurrency/blocking-call-in-async", "security/user-controlled-path"} <= {
        finding["rule"] for finding in json.loads(_check(service, "--format", "json").stdout)["findings"]
    }
    code, forks, two = told("--jobs", "2")
    assert (code, forks.strip()) == (1, "2")
    assert one == two
    assert any("test_broken.py" in line for line in one)


@_forks
def test_a_second_process_that_dies_is_told(service: Path) -> None:
    """One line that says what happened and what to do, and exit code 2; never half of a result."""
    done = _script(_DIES, "check", "--no-cache", "--jobs", "2", str(service))
    assert done.returncode == 2
    assert done.stdout == ""
    assert "the second process of the check was killed by signal 9" in done.stderr
    assert "--jobs 1" in done.stderr


def test_two_checks_at_once_share_a_cache(service: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Both tell what one tells, and what they leave is read by the next."""
    kept = tmp_path_factory.mktemp("cache")
    command = [sys.executable, "-m", "fastness.tool", "check", "--format", "json", "--cache-dir", str(kept), str(service)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate()[0] for process in running]
    told += [subprocess.run(command, capture_output=True, text=True, check=False).stdout]
    assert [process.returncode for process in running] == [1, 1, 1]
    documents = [json.loads(text) for text in told]
    assert all(document["findings"] == documents[0]["findings"] for document in documents)
    assert [path.name for path in kept.glob("*.json")] == [next(kept.glob("*.json")).name]


def test_a_cache_in_the_project_is_refused(project: Path) -> None:
    """It would let the project decide what is found in it."""
    done = _check(project, "--cache-dir", str(project / ".fastness_cache"))
    assert done.returncode == 2
    assert "is in the checked directory" in done.stderr
    assert not (project / ".fastness_cache").exists()
