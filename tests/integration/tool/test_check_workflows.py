"""The command in the hands of people: adopting it, letting it correct, and looking at a pull request only."""

import gc
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastness.tool.check import changes, run
from fastness.tool.cli import main
from fastness.tool.errors import CommandError

CALL = '    return requests.get("https://example.org").json()\n'
TIMEOUT = "reliability/outbound-call-without-timeout"


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """The command ends with its process, and switches garbage collection off; here others go on."""
    yield
    gc.enable()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one fault that can be corrected, and line ends of its own."""
    (tmp_path / "main.py").write_bytes(f"import fastapi, requests\n\n\ndef one():\n{CALL}".replace("\n", "\r\n").encode())
    return tmp_path


def _git(directory: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], cwd=directory, check=True, capture_output=True)


def _commit(directory: Path) -> None:
    _git(directory, "add", "--all")
    _git(directory, "commit", "--message", "change")


def test_a_baseline_is_adopted_and_shrinks(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Known findings pass, a new one fails, a gone one is named; the file that the settings name is used by itself."""
    file = project / "known.json"
    assert main(["check", str(project), "--baseline", str(file), "--write-baseline"]) == 0
    assert "1 known findings (1 new, 0 gone)" in capsys.readouterr().out
    (project / "pyproject.toml").write_text('[tool.fastness.check]\nbaseline = "known.json"\n')
    assert main(["check", str(project)]) == 0
    assert "1 known from the baseline" in capsys.readouterr().out
    (project / "other.py").write_text(f"import requests\n\n\ndef two():\n{CALL}")
    assert main(["check", str(project)]) == 1
    assert "other.py:5" in capsys.readouterr().out
    (project / "other.py").unlink()
    (project / "main.py").write_text("import fastapi\n")
    assert main(["check", str(project)]) == 0
    assert f"resolved main.py (one): {TIMEOUT}" in capsys.readouterr().out
    assert main(["check", str(project), "--write-baseline"]) == 0
    assert "0 known findings (0 new, 1 gone)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--write-baseline"], "name the file to write"),
        (["--baseline", "missing.json"], "does not exist"),
        (["--unsafe"], "--fix"),
        (["--fix", "--boot"], "leave --app"),
        (["--diff", "HEAD"], "not in a git repository"),
        (["--fix", "--write-baseline", "--baseline", "x"], "leave --fix and --diff out"),
    ],
)
def test_what_cannot_be_done_is_said(
    project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    """Options that do not fit, and files and revisions that are not there: a sentence and exit code 2."""
    assert main(["check", str(project), *arguments]) == 2
    streams = capsys.readouterr()
    assert told in streams.err
    assert streams.out == ""


def test_fixes_are_shown_made_and_checked(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run shows the diff and changes nothing; then the file is corrected with the line ends and mode that it had."""
    file = project / "main.py"
    file.chmod(0o640)
    before = file.read_bytes()
    assert main(["check", str(project), "--fix", "--dry-run"]) == 1
    assert '+    return requests.get("https://example.org", timeout=10).json()' in capsys.readouterr().out
    assert file.read_bytes() == before
    assert main(["check", str(project), "--fix"]) == 0
    assert "fixed 1 findings in 1 files" in capsys.readouterr().out
    assert file.read_bytes() == before.replace(b'org")', b'org", timeout=10)')
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in project.iterdir()] == ["main.py"]


def test_a_terminal_is_asked(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is not written."""
    monkeypatch.setattr(run, "_agrees", lambda _: False)
    before = (project / "main.py").read_bytes()
    assert main(["check", str(project), "--fix"]) == 1
    assert (project / "main.py").read_bytes() == before


def test_mixed_line_ends_are_left_alone(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that an edit could not keep as it is stays as it is."""
    file = project / "main.py"
    file.write_bytes(file.read_bytes() + b"\n")
    assert main(["check", str(project), "--fix"]) == 2
    assert "mixes line ends" in capsys.readouterr().err
    assert b"timeout" not in file.read_bytes()


def test_a_pull_request_sees_its_own_findings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Old findings are left out; those in changed lines, in files that git does not know yet, and in cut statements are not."""
    _git(project, "init", "--initial-branch", "main")
    one = f"import fastapi, requests\n\n\ndef one():\n{CALL}"
    old = f"{one}\n\ndef two():\n    requests.get(\n        'x',\n        timeout=3,\n    )\n"
    (project / "main.py").write_text(old)
    _commit(project)
    _git(project, "checkout", "-b", "change")
    assert main(["check", str(project), "--diff", "main"]) == 0
    (project / "main.py").write_text(f"# new\n{old.replace('        timeout=3,' + chr(10), '')}")
    (project / "new.py").write_text(f"import requests\n\n\ndef three():\n{CALL}")
    _git(project, "add", "main.py")
    capsys.readouterr()
    assert main(["check", str(project), "--diff", "main", "--format", "github"]) == 1
    told = capsys.readouterr().out
    assert [line.split(",col")[0] for line in told.splitlines()] == [
        "::error file=main.py,line=10",
        "::error file=new.py,line=5",
    ]


def test_upstream_changes_are_not_the_pull_requests(project: Path) -> None:
    """What the other branch changed since both parted is not counted as changed here, and hostile names are only names."""
    _git(project, "init", "--initial-branch", "main")
    odd = project / "ä b" / "c.py"
    odd.parent.mkdir()
    odd.write_text("a = 1\n")
    _commit(project)
    _git(project, "checkout", "-b", "change")
    odd.write_text("a = 1\n++ b = 2\n-- c = 3\n")
    _commit(project)
    _git(project, "checkout", "main")
    (project / "main.py").write_text("x = 1\n")
    _commit(project)
    _git(project, "checkout", "change")
    changed = changes.since(project, "main").files
    assert changed.keys() == {"ä b/c.py"}
    assert changed["ä b/c.py"].lines == [(2, 3)]
    for revision in ("nowhere", "--output=x", "", "main..change"):
        with pytest.raises(CommandError, match="git knows no revision"):
            changes.since(project, revision)
    assert not (project / "x").exists()


def test_a_fix_without_a_test_is_noticed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the messages of the pull request's commits; a test in any of them, or in the working tree, is enough."""

    def found() -> str:
        main(["check", str(project), "--diff", "main", "--select", "governance/fix-without-test"])
        return capsys.readouterr().out

    _git(project, "init", "--initial-branch", "main")
    _commit(project)
    _git(project, "checkout", "-b", "change")
    (project / "main.py").write_text(f"import requests\n\n\ndef one():\n    print()\n{CALL}")
    _git(project, "commit", "--all", "--message", "Print before asking")
    assert "0 info" in found()
    (project / "main.py").write_text(f"import requests\n\n\ndef one():\n    print(1)\n{CALL}")
    _git(project, "commit", "--all", "--message", "fix: print\x1b[2J something\n\nBody.")
    assert "no test in this change would fail without it: 'fix: print?[2J something'" in found()
    assert main(["check", str(project), "--diff", "main", "--fail-on", "info", "--select", "governance"]) == 1
    (project / "tests").mkdir()
    (project / "tests" / "test_main.py").write_text("def test_one(): ...\n")
    capsys.readouterr()
    assert "0 info" in found()
    main(["check", str(project), "--select", "governance/fix-without-test"])
    assert "0 info" in capsys.readouterr().out
