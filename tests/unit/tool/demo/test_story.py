"""The demo's steps: told in order, stopped at the first failure, each within its time."""

import signal

import pytest

from fastness.tool.demo.story import MismatchError, Step, expect, tell
from fastness.tool.errors import CommandError


def fail(error: Exception) -> str:
    raise error


def test_steps_are_told_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """Each step is numbered, with what it saw below it."""
    tell([Step("one", "First", 5, lambda: "seen\nmore"), Step("two", "Second", 5, lambda: "")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("  1/2  First  (")
    assert lines[1:3] == ["        seen", "        more"]
    assert lines[3].startswith("  2/2  Second  (")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (MismatchError("status 500"), "status 500"),
        (CommandError("it ended"), "it ended"),
        (ConnectionRefusedError(111, "Connection refused"), "ConnectionRefusedError: [Errno 111] Connection refused"),
        (KeyError("secret"), "KeyError: 'secret'"),
    ],
)
def test_failure_names_the_step_and_ends_the_story(error: Exception, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever goes wrong in a step, the error names the step with exit code 1, and no later step runs."""
    with pytest.raises(CommandError) as caught:
        tell([Step("first", "First", 5, lambda: fail(error)), Step("second", "Second", 5, lambda: "")])
    assert str(caught.value) == f"demo step 'first' failed: {reason}"
    assert caught.value.code == 1
    assert "Second" not in capsys.readouterr().out


def test_step_that_takes_too_long_fails() -> None:
    """A step that blocks is interrupted at its time limit."""
    with pytest.raises(CommandError, match=r"'slow' failed: not done after 0\.01 seconds"):
        tell([Step("slow", "Slow", 0.01, lambda: str(signal.pause()))])


def test_no_alarm_stays_behind() -> None:
    """After a step no alarm is pending, and the handler is the one from before."""
    before = signal.getsignal(signal.SIGALRM)
    tell([Step("one", "First", 60, lambda: "")])
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before


def test_expectation() -> None:
    """What was not expected is said."""
    expect(True, "never said")
    with pytest.raises(MismatchError, match="status 404"):
        expect(0, "status 404")
