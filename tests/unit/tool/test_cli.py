"""The command line: what is accepted, exit codes, and errors of one line."""

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version

import pytest

from fastness.tool import cli, scaffold
from fastness.tool.errors import CommandError


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Makes `fastness features` fail with an exception."""

    def make(error: BaseException) -> None:
        def fail() -> None:
            raise error

        monkeypatch.setattr(scaffold, "available", fail)

    return make


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` prints the installed version and exits 0."""
    with pytest.raises(SystemExit, match="0"):
        cli.main(["--version"])
    assert capsys.readouterr().out == f"fastness {version('fastness')}\n"


def test_help_imports_no_framework() -> None:
    """`fastness --help` is quick: neither FastAPI nor an optional package is imported for it."""
    code = (
        "import sys\nfrom fastness.tool.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print(sorted({'fastapi', 'pydantic', 'starlette', 'tomlkit', 'uvicorn', 'asyncio'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "write a new service" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nothing"],
        ["new"],
        ["new", "a", "--wthout", "x"],
        ["dev", "--port", "x"],
        ["dev", "--port", "70000"],
        ["dev", "--grace", "0"],
        ["preflight", "--defaults", "--check"],
        ["token", "--lifetime", "-1"],
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Bad usage is one line that names the help, and exit code 2."""
    with pytest.raises(SystemExit, match="2"):
        cli.main(arguments)
    (line,) = capsys.readouterr().err.splitlines()
    assert "--help" in line


@pytest.mark.parametrize("code", [1, 2])
def test_command_error_is_one_line_and_its_code(
    code: int, failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """A command that gives up says why in one line and chooses the exit code."""
    failing(CommandError("no template: reinstall", code=code))
    assert cli.main(["features"]) == code
    assert capsys.readouterr().err == "fastness: no template: reinstall\n"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ModuleNotFoundError("No module named 'tomlkit'", name="tomlkit"), "tomlkit is not installed here: pip install"),
        (PermissionError(13, "Permission denied", "x"), "Permission denied: 'x'"),
        (KeyError("x"), "unexpected KeyError: 'x' (set FASTNESS_DEBUG=1"),
    ],
)
def test_unforeseen_errors_are_one_line_too(
    error: Exception, says: str, failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]
) -> None:
    """What nobody foresaw is one line and exit code 2, without a traceback."""
    failing(error)
    assert cli.main(["features"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


def test_debug_shows_the_traceback(
    failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`FASTNESS_DEBUG=1` adds the traceback."""
    monkeypatch.setenv("FASTNESS_DEBUG", "1")
    failing(CommandError("no template"))
    assert cli.main(["features"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_interrupt_is_130(failing: Callable[[BaseException], None], capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends a command with 130 and no words."""
    failing(KeyboardInterrupt())
    assert cli.main(["features"]) == 130
    assert capsys.readouterr().err == ""


def test_old_python_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A Python that is too old gets one clear line and exit code 2."""
    monkeypatch.setattr(sys, "version_info", (3, 10, 2))
    assert cli.main(["features"]) == 2
    assert capsys.readouterr().err == "fastness: Python 3.10 is too old: Fastness needs 3.11 or newer\n"
