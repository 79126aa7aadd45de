"""The hook for pre-commit and the GitHub Action: what they run is what the command takes."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[3]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
CALL = "import requests\n\n\ndef one() -> object:\n    return requests.get('x')\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one fault, in a directory that an unquoted variable would not survive."""
    directory = tmp_path / "a $(touch ran) b"
    directory.mkdir()
    (directory / "main.py").write_text(CALL)
    return directory


@pytest.fixture
def run_action(tmp_path: Path) -> object:
    """Runs the action's last step as a runner would, in this environment."""
    installed = tmp_path / "runner" / "fastness" / "bin"
    installed.mkdir(parents=True)
    (installed / "fastness").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m fastness.tool "$@"\n')
    (installed / "fastness").chmod(0o755)

    def run(**inputs: str) -> subprocess.CompletedProcess[str]:
        step = ACTION["runs"]["steps"][-1]
        defaults = {name: given["default"] for name, given in ACTION["inputs"].items()}
        given = defaults | {name.replace("_", "-"): value for name, value in inputs.items()}
        variables = {name: given[value.removeprefix("${{ inputs.").removesuffix(" }}")] for name, value in step["env"].items()}
        return subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=tmp_path,
            env={**os.environ, "RUNNER_TEMP": str(tmp_path / "runner"), **variables},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def test_the_action_annotates_and_fails(project: Path, run_action: object, tmp_path: Path) -> None:
    """One fault is annotated, fails the job and is in the page; inputs are never run as shell code."""
    assert callable(run_action)
    done = run_action(directory=str(project), html="page.html", fail_on="error")
    assert done.returncode == 1, done.stderr
    assert "::error file=main.py,line=5" in done.stdout
    assert "main.py:5" in (tmp_path / "page.html").read_text()
    assert not (tmp_path / "ran").exists()


def test_the_action_says_what_it_cannot_do(project: Path, run_action: object) -> None:
    """A revision that looks like an option is a revision, and what cannot be run is not passed."""
    assert callable(run_action)
    done = run_action(directory=str(project), diff="--static", html="page.html")
    assert done.returncode == 2
    assert "--diff cannot tell" in done.stderr


def test_what_others_own_is_pinned() -> None:
    """Actions that the action uses are named by commit; no input is pasted into a script."""
    for step in ACTION["runs"]["steps"]:
        assert "uses" not in step or len(step["uses"].partition("@")[2]) == 40
        assert "${{" not in step.get("run", "")


def test_the_hook_runs_the_command(project: Path) -> None:
    """The hook's entry is a command that checks the directory it is started in."""
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, *arguments = hook["entry"].split()
    assert program == "fastness"
    done = subprocess.run(
        [sys.executable, "-m", "fastness.tool", *arguments], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "main.py:5" in done.stdout
