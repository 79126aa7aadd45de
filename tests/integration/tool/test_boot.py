"""Booting real apps in processes of their own: what they are, and what becomes of those that cannot be booted."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fastness.tool.boot import Wanted, examine
from fastness.tool.errors import CommandError

from .conftest import gone

Write = Callable[[str], Path]

_SETTINGS = """
from pydantic_settings import BaseSettings
class S(BaseSettings):
    model_config = {"validate_default": True}
    secret_key: str
    port: int = "p4ssw0rd"
S()
"""
APP = "from fastapi import FastAPI\napp = FastAPI()\n"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Makes a project of one module, `main`."""

    def writing(source: str) -> Path:
        (tmp_path / "main.py").write_text(source)
        return tmp_path

    return writing


def refused(directory: Path, target: str = "main:app", *, factory: bool = False, seconds: float = 60) -> str:
    """The sentence with which an app is refused."""
    with pytest.raises(CommandError) as caught:
        examine(directory, Wanted(target=target, factory=factory, seconds=seconds))
    assert caught.value.code == 2
    said = str(caught.value)
    assert "\n" not in said
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("raise SystemExit('SECRET_KEY is not set')", "it exits: SECRET_KEY is not set"),
        ("import os; os._exit(7)", "ended with exit code 7"),
        ("import os; os.kill(os.getpid(), 11)", "ended by signal 11"),
        ("1 / 0", "ZeroDivisionError: division by zero (main.py:1)"),
        ("def broken(:", "SyntaxError"),
        ("import nowhere_to_be_found", "No module named 'nowhere_to_be_found' (main.py:1): is it installed for"),
        ("input('name? ')", "EOFError"),
        ("app = 1", "main:app is not a FastAPI app but a int"),
        ("from fastapi import FastAPI\nservice = FastAPI()", "main has no app; it has main:service"),
        ("from starlette.applications import Starlette\napp = Starlette()", "not a FastAPI app but a Starlette"),
        ("async def app(scope, receive, send): ...", "coroutine function"),
        ("def app(scope, receive, send): ...", "main:app is an ASGI function"),
        ("def app(settings, debug=False): ...", "main:app needs arguments (settings)"),
        ("def app(): raise ValueError('no')", "calling main:app failed: ValueError: no (main.py:1)"),
        ("def app(): ...", "not a FastAPI app but a NoneType"),
        (
            _SETTINGS,
            "ValidationError for S: secret_key, port",
        ),
        ("import socket\nsocket.create_connection(('example.org', 80))", "it asked for example.org; --allow-network lets it"),
        ("import socket\nsocket.socket().connect(('203.0.113.1', 80))", "it asked for 203.0.113.1:80"),
    ],
)
def test_what_cannot_be_booted_is_told_in_one_sentence(write: Write, source: str, said: str) -> None:
    """Whatever an import does, the command ends with one sentence and exit code 2, and tells no values of settings."""
    message = refused(write(source))
    assert said in message
    assert "p4ssw0rd" not in message


def test_a_wrong_name_is_told(write: Write) -> None:
    """A module that is not there, and a target that is none, are refused by name."""
    directory = write(APP)
    assert "there is no module elsewhere" in refused(directory, "elsewhere:app")
    assert "there is no module main.py" in refused(directory, "main.py:app")
    assert "is not module:attribute" in refused(directory, "./main.py")
    assert "is not module:attribute" in refused(directory, "main:")


def test_an_import_that_hangs_is_ended_with_what_it_started(write: Write) -> None:
    """The time limit holds, and no child of the app outlives it."""
    directory = write(
        "import pathlib, subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'])\npathlib.Path('pid').write_text(str(child.pid))\ntime.sleep(600)"
    )
    begin = time.monotonic()
    assert "took longer than 5 s" in refused(directory, seconds=5)
    assert time.monotonic() - begin < 30
    if (directory / "pid").is_file():  # on a loaded machine the limit may come before the app has begun
        assert gone(int((directory / "pid").read_text()))


def test_an_app_that_prints_forks_and_leaves_threads_is_booted(write: Write) -> None:
    """Output goes nowhere and is not kept, the fork's copy says nothing, and a thread that never ends holds nothing up."""
    directory = write(
        f"{APP}import os, sys, threading, time\n"
        "for stream in (sys.stdout, sys.stderr):\n    stream.write('noise\\n' * 1_000_000)\n"
        "os.fork()\nthreading.Thread(target=time.sleep, args=(600,)).start()\n"
        "@app.get('/items')\ndef items() -> int: return 1\n"
    )
    boot = examine(directory, Wanted(target="main:app"))
    assert [route.path for route in boot.app.operations] == ["/items"]


def test_a_factory_makes_the_app(write: Write) -> None:
    """A function without arguments is called, as is a class that the command line calls a factory."""
    directory = write(
        f"{APP}def create_app(title='made'):\n    return FastAPI(title=title)\n"
        "class Service(FastAPI):\n    def __init__(self):\n        super().__init__(title='class')\n"
    )
    assert examine(directory, Wanted(target="main:create_app")).app.main.title == "made"
    assert examine(directory, Wanted(target="main:Service", factory=True)).app.main.title == "class"


def test_nothing_of_the_checker_is_in_the_way(write: Write) -> None:
    """A project may have modules with the names of ours, read its arguments, and go to another directory."""
    directory = write(
        f"import inside.load, load, os, sys\nassert len(sys.argv) == 2\nos.chdir('/')\n{APP}app.title = inside.load.NAME\n"
    )
    (directory / "inside").mkdir()
    (directory / "inside/load.py").write_text("NAME = 'theirs'\n")
    (directory / "load.py").write_text("")
    assert examine(directory, Wanted(target="main:app")).app.main.title == "theirs"


def test_an_app_inside_of_other_middleware_is_found(write: Write) -> None:
    """What is put around an app by hand is looked through, and answers in its place."""
    directory = write(
        f"{APP}inner = app\nclass Refuses:\n"
        "    def __init__(self, app): self.app = app\n"
        "    async def __call__(self, scope, receive, send):\n"
        "        await send({'type': 'http.response.start', 'status': 401, 'headers': []})\n"
        "        await send({'type': 'http.response.body', 'body': b''})\n"
        "app = Refuses(inner)\n"
    )
    boot = examine(directory, Wanted(target="main:app", probe=True, lifespan=False))
    assert boot.probed is not None
    assert boot.probed.answers["fine"].status == 401
    assert any("answered with 401 before any route" in gap for gap in boot.gaps)


def test_a_lifespan_that_fails_or_hangs_leaves_a_gap(write: Write) -> None:
    """The app is probed as it is, and the report says in what state."""
    source = (
        "import asyncio, contextlib\nfrom fastapi import FastAPI\n@contextlib.asynccontextmanager\nasync def life(app):\n"
        "    {}\n    yield\napp = FastAPI(lifespan=life)\n"
    )
    failed = examine(write(source.format("raise ConnectionError('no database')")), Wanted(target="main:app", probe=True))
    assert failed.probed is not None
    assert failed.probed.answers["fine"].status == 200
    assert "its startup failed: ConnectionError: no database" in failed.gaps[0]
    hung = examine(write(source.format("await asyncio.sleep(600)")), Wanted(target="main:app", probe=True, seconds=15))
    assert "its startup took longer than" in hung.gaps[0]


def test_a_request_that_never_ends_leaves_the_facts(write: Write) -> None:
    """What was learned by booting is kept when probing has to be killed."""
    directory = write(f"{APP}@app.get('/hang')\nasync def hang() -> int:\n    import time\n    time.sleep(600)\n")
    boot = examine(directory, Wanted(target="main:app", probe=True, seconds=12))
    assert boot.probed is None
    assert [route.path for route in boot.app.operations] == ["/hang"]
    assert "could not be probed: it took longer than 12 s" in boot.gaps[0]


def test_only_get_operations_are_called(write: Write) -> None:
    """Probing runs no endpoint that writes, and none that it would have to give credentials or a body."""
    directory = write(
        f"{APP}from fastapi import Header\nimport pathlib\n"
        "def note(name): pathlib.Path(name).touch()\n"
        "@app.get('/items/{{number}}')\ndef get(number: int, q: str) -> None: note('get')\n"
        "@app.get('/guarded')\ndef guarded(token: str = Header()) -> None: note('guarded')\n".replace("{{", "{").replace(
            "}}", "}"
        )
        + "".join(f"@app.{m}('/items')\ndef {m}_() -> None: note('{m}')\n" for m in ("post", "put", "patch", "delete"))
    )
    boot = examine(directory, Wanted(target="main:app", probe=True))
    assert boot.probed is not None
    assert [(called.route.path, called.answer.status) for called in boot.probed.called] == [("/items/{number}", 200)]
    assert not {"post", "put", "patch", "delete", "guarded"} & {path.name for path in directory.iterdir()}
    assert (directory / "get").exists()


def test_the_app_that_serves_most_is_asked(write: Write) -> None:
    """Where an API is mounted in a shell, the API's own handlers answer, through the middleware of both."""
    directory = write(
        f"{APP}from starlette.responses import JSONResponse\n"
        "async def failed(request, error): return JSONResponse({'of': 'api'}, 500)\n"
        "api = FastAPI(exception_handlers={Exception: failed})\n"
        "@api.get('/items')\ndef items() -> int: return 1\n"
        "app.mount('/api', api)\n"
        "@app.middleware('http')\nasync def named(request, call_next):\n"
        "    response = await call_next(request)\n    response.headers['x-shell'] = '1'\n    return response\n"
    )
    boot = examine(directory, Wanted(target="main:app", probe=True))
    assert boot.probed is not None
    assert (boot.app.main.prefix, [route.path for route in boot.app.operations]) == ("/api", ["/api/items"])
    assert boot.probed.answers["fine"].header("x-shell") == "1"
    assert boot.probed.answers["failed"].body == '{"of":"api"}'
    assert boot.probed.called[0].answer.body == "1"


def test_the_network_can_be_allowed(write: Write) -> None:
    """With leave, a connection is made; without, it is refused, even to this machine."""
    source = (
        f"import socket\nserver = socket.create_server(('127.0.0.1', 0))\nsocket.create_connection(server.getsockname())\n{APP}"
    )
    directory = write(source)
    assert examine(directory, Wanted(target="main:app", network=True)).app.main.title == "FastAPI"
    assert "--allow-network" in refused(directory)


def _check(directory: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fastness.tool", "check", *arguments, str(directory)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_the_command_boots_and_probes(write: Write) -> None:
    """Facts are findings with their source; the configured app is booted, and the exit code is that of the findings."""
    directory = write(
        f"{APP}from fastapi import APIRouter\nrouter = APIRouter()\n"
        "@router.get('/users/{name}')\ndef one(name: str) -> str: return name\n"
        "other = APIRouter()\n@other.get('/users/me')\ndef me() -> str: return 'me'\n"
        "for each in router, other:\n    app.include_router(each)\n"
    )
    (directory / "pyproject.toml").write_text('[tool.fastness]\napp = "main:app"\n')
    done = _check(directory, "--probe", "--format", "json")
    assert done.returncode == 1, done.stderr
    findings = json.loads(done.stdout)["findings"]
    sources = {finding["rule"]: (finding["source"], finding["line"]) for finding in findings}
    assert sources["contracts/unreachable-route"] == ("boot", 9)
    assert sources["reliability/mixed-error-envelope"] == ("probe", 2)
    static = json.loads(_check(directory, "--format", "json").stdout)["findings"]
    assert "contracts/unreachable-route" not in {finding["rule"] for finding in static}


def test_the_command_says_why_it_cannot_run(write: Write) -> None:
    """One line on standard error, nothing on standard output, exit code 2."""
    done = _check(write("raise RuntimeError('first\\nsecond')"), "--app", "main:app")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "fastness: main:app: importing main failed: RuntimeError: first (main.py:1)\n"
    done = _check(write(APP), "--app", "main:app", "--static")
    assert done.returncode == 2
    assert "--static" in done.stderr
