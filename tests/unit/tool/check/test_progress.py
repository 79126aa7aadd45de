"""How far a check is, told to a terminal and to nobody else."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from fastness.tool.check import engine, progress
from fastness.tool.check.config import Config
from fastness.tool.check.rules import catalogue
from fastness.tool.project.files.project import Project


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_every_rule_is_a_step(tmp_path: Path) -> None:
    """Steps are told in order: one for each rule about the project, and one for a few files and all rules about single ones."""
    (tmp_path / "main.py").write_text("from fastapi import FastAPI\n\napp = FastAPI()\n")
    steps: list[tuple[int, int]] = []
    report = engine.check(Project.at(tmp_path), Config(), progress=lambda done, total: steps.append((done, total)))
    whole = [name for name in report.rules if not catalogue()[name].per_module]
    assert steps == [(done, len(whole) + 1) for done in range(len(whole) + 1)]
    assert len(steps) > len(catalogue()) / 2


@pytest.mark.parametrize(("terminal", "wanted"), [(io.StringIO, True), (_Terminal, False)])
def test_nobody_is_told(monkeypatch: pytest.MonkeyPatch, terminal: type[io.StringIO], wanted: bool) -> None:
    """A pipe is not a person, and a check that is over at once needs no bar."""
    out = terminal()
    monkeypatch.setattr(sys, "stderr", out)
    with progress.bar(files=3, wanted=wanted) as step:
        step(0, 2)
    assert out.getvalue() == ""


def test_a_terminal_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done is shown at once, since nothing draws in between, and the line is gone at the end."""
    out = _Terminal()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setenv("TERM", "xterm")
    with progress.bar(files=3, wanted=True) as step:
        assert "Reading 3 files" in out.getvalue()
        step(0, 2)
        assert "Step 1 of 2" in out.getvalue()
        step(1, 2)
        assert "Step 2 of 2" in out.getvalue()
        assert "75 %" in out.getvalue()
    assert out.getvalue().endswith("\x1b[2K")  # erases the line
