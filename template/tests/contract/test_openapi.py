"""The contract: what clients rely on changes only on purpose."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SNAPSHOT = Path(__file__).with_name("openapi.json")


def contract(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "fastness.tool", "contract", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_the_contract_is_the_recorded_one() -> None:
    """`fastness contract snapshot` records a change; its reviewers see it in the diff, and CI what it breaks."""
    if not SNAPSHOT.exists():
        assert contract("snapshot").returncode == 0
        pytest.skip(f"recorded {SNAPSHOT.name}: commit it")
    done = contract("snapshot", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
