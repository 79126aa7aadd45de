"""`fastness contract` as a person or a pipeline runs it."""

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fastness.tool.cli import main

from .conftest import gone

MAIN = """\
from fastapi import FastAPI
from pydantic import BaseModel

print("noise on standard output")
app = FastAPI(title="Shop")


class Item(BaseModel):
    name: str
    tags: set[str] = {"b", "a"}


@app.post("/items")
def create(item: Item) -> Item:
    return item
"""
STRICTER = MAIN.replace("name: str", "name: str\n    price: int")

Fastness = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one app."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app/main.py").write_text(MAIN)
    return tmp_path


@pytest.fixture
def fastness(project: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Fastness:
    """Runs a command in the project; in this process, because an interpreter of its own would take half of the time."""
    monkeypatch.chdir(project)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        code = main(["contract", *arguments])
        return subprocess.CompletedProcess(arguments, code, *capfd.readouterr())

    return run


@pytest.fixture
def process(project: Path) -> Fastness:
    """Runs a command as a shell does."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "fastness.tool", "contract", *arguments]
        return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=120)

    return run


def test_a_change_that_breaks_clients_fails_the_check(project: Path, process: Fastness) -> None:
    """Snapshot, edit, check: exit 1 with the request that fails now; an accepted change passes, with its reason."""
    assert process("check").returncode == 2
    assert process("snapshot").returncode == 0
    assert process("snapshot").stdout.startswith("unchanged:")
    done = process("check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "compatible: no change\n", "")

    (project / "app/main.py").write_text(STRICTER)
    done = process("check", "--format", "json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert report["verdict"] == "breaking"
    assert report["bump"] == "major"
    (change,) = [change for change in report["changes"] if change["level"] == "breaking"]
    assert change.keys() == {"id", "level", "operation", "location", "places", "message", "counterexample", "old", "new"}
    assert change["id"] == "request.property.required"
    assert change["operation"] == "POST /items"
    assert change["counterexample"]["request"] == {
        "method": "POST",
        "path": "/items",
        "content_type": "application/json",
        "body": {"name": "text"},
    }

    entry = '[[accepted]]\nid = "request.property.required"\noperation = "POST /items"\nreason = "{}"\n'
    (project / "contract/accepted.toml").write_text(entry.format(" "))
    assert "has no reason" in process("check").stderr
    (project / "contract/accepted.toml").write_text(entry.format("Nobody calls it yet."))
    done = process("check")
    assert done.returncode == 0
    assert "Nobody calls it yet." in done.stdout

    (project / "app/main.py").write_text(MAIN)
    assert "means no change any more" in process("check").stdout


def test_levels_are_the_project_s(project: Path, fastness: Fastness) -> None:
    """A rule may be lowered or raised in pyproject.toml, and a wrong word there is refused."""
    fastness("snapshot")
    (project / "app/main.py").write_text(STRICTER)
    settings = '[tool.fastness.contract.levels]\n"request.property.*" = "{}"\n'
    (project / "pyproject.toml").write_text(settings.format("warning"))
    assert fastness("check").returncode == 0
    (project / "pyproject.toml").write_text(settings.format("grave"))
    done = fastness("check")
    assert done.returncode == 2
    assert "must be one of breaking, warning, info, got 'grave'" in done.stderr


@pytest.mark.parametrize("form", ["text", "markdown", "github", "html"])
def test_formats(project: Path, fastness: Fastness, form: str) -> None:
    """Every format has the change, its place and what fails."""
    fastness("snapshot")
    (project / "app/main.py").write_text(STRICTER)
    done = fastness("check", "--format", form)
    assert done.returncode == 1
    assert "price is now required" in done.stdout
    assert "POST /items" in done.stdout
    assert done.stdout.endswith("\n")


def test_revisions_and_files(project: Path, fastness: Fastness) -> None:
    """A document may be the snapshot at a revision, another file of one, or a file; the changelog is for people."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    fastness("snapshot")
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *command], cwd=project, check=True, timeout=60)
    (project / "app/main.py").write_text(STRICTER)
    fastness("snapshot")
    assert fastness("diff", "git:HEAD", "contract/openapi.json").returncode == 1
    assert fastness("diff", "contract/openapi.json", "git:HEAD:contract/openapi.json").returncode == 1
    assert fastness("diff", "git:HEAD", "git:HEAD").returncode == 0
    done = fastness("diff", "git:nowhere", "contract/openapi.json")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert fastness("diff", "git:--output=x", "contract/openapi.json").returncode == 2
    done = fastness("changelog", "git:HEAD")
    assert done.returncode == 0
    assert "## Breaking" in done.stdout
    assert "### `POST /items`" in done.stdout


def test_looking_writes_nothing(project: Path, fastness: Fastness) -> None:
    """Only `snapshot` writes, and only the snapshot."""
    before = set(project.rglob("*"))
    fastness("snapshot")
    snapshot = project / "contract/openapi.json"
    assert set(project.rglob("*")) - before == {snapshot.parent, snapshot}
    state = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    assert fastness("snapshot", "--check").returncode == 0
    (project / "app/main.py").write_text(STRICTER)
    done = fastness("snapshot", "--check")
    assert (done.returncode, done.stdout.split(" is not ")[0]) == (1, "contract/openapi.json")
    done = fastness("check")
    assert done.stdout.endswith("as [[accepted]] in contract/accepted.toml\n")
    fastness("diff", "contract/openapi.json", "contract/openapi.json")
    fastness("changelog", "contract/openapi.json")
    del state[project / "app/main.py"]
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.name != "main.py"} == state


@pytest.fixture
def url(project: Path, fastness: Fastness) -> Iterator[str]:
    """Where the snapshot is served over HTTP."""
    fastness("snapshot")
    text = (project / "contract/openapi.json").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/openapi.json" else 404)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_urls(url: str, fastness: Fastness) -> None:
    """A document may be fetched; an error answer is told."""
    assert fastness("diff", f"{url}/openapi.json", "contract/openapi.json").returncode == 0
    assert "answered 404" in fastness("diff", f"{url}/gone", "contract/openapi.json").stderr


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("app.main:nothing", "app.main has no nothing"),
        ("app.gone:app", "there is no module app.gone here"),
        ("app.main:Item", "app.main:Item is not a FastAPI app but the class Item"),
        ("app.broken:app", "RuntimeError: no database"),
    ],
)
def test_an_app_that_is_none(project: Path, fastness: Fastness, target: str, says: str) -> None:
    """What is wrong with the app is one line, and exit code 2."""
    (project / "app/broken.py").write_text("raise RuntimeError('no database')\n")
    done = fastness("snapshot", "--app", target)
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (project / "contract").exists()


def test_an_app_that_never_gets_ready_is_ended(project: Path, fastness: Fastness) -> None:
    """An app that waits on import is killed after the time limit, with what it has started."""
    (project / "pyproject.toml").write_text("[tool.fastness.contract]\ntimeout = 1\n")
    (project / "app/main.py").write_text(
        "import subprocess, sys, time, pathlib\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "pathlib.Path('child').write_text(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    (project / "app/__init__.py").touch()
    done = fastness("snapshot")
    assert done.returncode == 2
    assert "longer than 1 s" in done.stderr
    if (project / "child").is_file():  # on a loaded machine the limit may come before the app has begun
        assert gone(int((project / "child").read_text()))


def test_the_document_is_the_same_each_time(project: Path, fastness: Fastness) -> None:
    """Hash seeds and the order of routes leave no trace in the snapshot."""
    fastness("snapshot")
    first = (project / "contract/openapi.json").read_text()
    other = MAIN + "\n@app.get('/a')\ndef a() -> int: return 1\n\n@app.get('/b')\ndef b() -> int: return 1\n"
    routes = MAIN + "\n@app.get('/b')\ndef b() -> int: return 1\n\n@app.get('/a')\ndef a() -> int: return 1\n"
    written = []
    for text in (MAIN, other, routes):
        (project / "app/main.py").write_text(text)
        fastness("snapshot")
        written.append((project / "contract/openapi.json").read_text())
    assert written[0] == first
    assert written[1] == written[2] != first


def test_deprecation_headers_have_to_stand_in_the_document(project: Path, fastness: Fastness) -> None:
    """A route that announces its end in headers alone fails the check; through `openapi.document` it passes."""
    marked = MAIN.replace(
        '@app.post("/items")',
        "from datetime import date\nfrom fastapi import Depends\nfrom fastness.versioning import Deprecated\n\n\n"
        '@app.post("/items", dependencies=[Depends(Deprecated(since=date(2026, 1, 1), sunset=date(2199, 1, 1)))])',
    )
    fastness("snapshot")
    (project / "app/main.py").write_text(marked)
    done = fastness("check")
    assert done.returncode == 1
    assert "responses announce a sunset on 2199-01-01, the document says nothing" in done.stdout
    (project / "app/main.py").write_text(marked + "\nfrom fastness import openapi\napp.openapi = openapi.document(app)\n")
    fastness("snapshot")  # with problem documents for errors, which is a change of its own
    done = fastness("check")
    assert (done.returncode, done.stdout) == (0, "compatible: no change\n")
