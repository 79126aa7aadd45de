"""`fastness map` as people run it: a directory in, a map and an exit code out."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_APP = """
import httpx
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def root() -> int:
    return httpx.get("https://payments.example.org").status_code


@app.get("/quiet")
def quiet() -> None: ...
"""


def _map(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastness.tool", "map", *arguments, str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A service with one upstream."""
    (tmp_path / "main.py").write_text(_APP)
    return tmp_path


def test_a_map_is_printed(project: Path) -> None:
    """Endpoints with their function and its place, and what each reaches."""
    done = _map(project)
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("GET /  root  main.py:9", "→ http payments.example.org", "GET /quiet", "2 endpoints, 1 resource"):
        assert text in done.stdout


def test_who_is_affected(project: Path) -> None:
    """`--to` leaves those that reach it, with the line of the call; a name that is not there is told with those that are."""
    done = _map(project, "--to", "payments", "--format", "json")
    (entry,) = json.loads(done.stdout)["entries"]
    assert entry["reaches"][0]["call"] == {"name": "httpx.get", "path": "main.py", "line": 10}
    unknown = _map(project, "--to", "ledger")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == "fastness: no resource or table is called 'ledger': it has http payments.example.org\n"
    nothing = _map(project, "--from", "/quiet", "--to", "payments")
    assert nothing.returncode == 0
    assert "nothing leads from /quiet to payments" in nothing.stderr


def test_what_is_no_service(tmp_path: Path) -> None:
    """A path that is no directory and one without Python cannot be mapped; a project without endpoints has an empty map."""
    missing = _map(tmp_path / "missing")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "is not a directory" in missing.stderr
    assert _map(tmp_path).returncode == 2
    (tmp_path / "script.py").write_text("print(1)\n")
    empty = _map(tmp_path, "--format", "json")
    assert (empty.returncode, json.loads(empty.stdout)["entries"]) == (0, [])
    assert "no path operations" in empty.stderr


def test_the_reference_service() -> None:
    """Its endpoints reach the database through services and repositories, and its job reaches the receivers."""
    template = Path(__file__).parents[3] / "template"
    entries = {
        tuple(e["paths"] or [e["function"]]): e for e in json.loads(_map(template, "--format", "json").stdout)["entries"]
    }
    created = next(e for e in entries.values() if e["function"] == "create_event")
    assert created["paths"] == ["/v1/events"]
    assert created["through"][0] == "EventService"
    assert {"SqlEvents", "SqlDeliveries", "JobQueue"} <= set(created["through"])
    assert {(one["kind"], one["name"]) for one in created["reaches"]} >= {("database", "sql"), ("jobs", "deliver")}
    delivered = next(e for e in entries.values() if e["function"] == "deliver")
    assert ("http", "receivers") in {(one["kind"], one["name"]) for one in delivered["reaches"]}
