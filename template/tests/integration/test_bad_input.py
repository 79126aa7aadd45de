"""Bad input, as a client and an operator see it: on a server of its own, which logs as in production."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastness.auth.dev import DevIssuer

from app import NAME
from app.core.config import Settings
from app.main import create_app
from tests.conftest import ROOT, SCOPES

# Seconds after which something hangs; generous, because it costs nothing where nothing does.
PATIENCE = 90
AWAY = "postgresql://relay:hunter2@127.0.0.1:9/relay"


class Process:
    """A command of the service that runs, and what it has written."""

    def __init__(self, directory: Path, *command: str, **environment: str) -> None:
        self._output = (directory / "output.txt").open("w+")
        inherited = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
        self.process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={**inherited, "ENVIRONMENT": "test", "DEV_KEY_DIRECTORY": str(directory), "LOG_FORMAT": "json", **environment},
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    @property
    def output(self) -> str:
        """Everything written so far."""
        return Path(self._output.name).read_text()

    def until(self, pattern: str) -> re.Match[str]:
        """The first match of `pattern` in the output, once it is there."""
        limit = time.monotonic() + PATIENCE
        while (found := re.search(pattern, self.output)) is None:
            if self.process.poll() is not None or time.monotonic() > limit:
                pytest.fail(f"{pattern!r} is not in:\n{self.output}")
            time.sleep(0.02)
        return found

    def end(self) -> tuple[int, str]:
        """Exit status and output of a command that ends by itself."""
        return self.process.wait(PATIENCE), self.output

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._output.close()


class Server(Process):
    """The service on a socket."""

    def __init__(self, directory: Path, database_url: str) -> None:
        hosts = json.dumps(["127.0.0.1"])
        super().__init__(directory, "uvicorn", "app.main:app", "--port", "0", DATABASE_URL=database_url, ALLOWED_HOSTS=hosts)
        self.url = self.until(r"running on (http://127\.0\.0\.1:\d+)")[1]
        self.directory = directory
        self.issuer = DevIssuer(directory, environment="test", audience=NAME)

    def request(self, method: str, path: str, *, headers: dict[str, str], content: bytes = b"") -> httpx2.Response:
        """The answer to one request, with a token unless `headers` has another."""
        token = self.issuer.issue_token(tenant="acme", scopes=SCOPES)
        sent = {"authorization": f"Bearer {token}", **headers}
        return httpx2.request(method, self.url + path, headers=sent, content=content, timeout=PATIENCE, trust_env=False)

    def logged(self, request_id: str) -> list[dict[str, Any]]:
        """What the log has of a request that was answered."""
        self.until(rf'"event":"request".*"request_id":"{request_id}"')
        return [json.loads(line) for line in self.output.splitlines() if f'"request_id":"{request_id}"' in line]


@pytest.fixture(scope="module")
def server(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The service on an empty database."""
    directory = tmp_path_factory.mktemp("server")
    made = Server(directory, f"sqlite:///{shutil.copy(migrated_sqlite, directory)}")
    yield made
    made.close()


def check_problem(server: Server, answer: httpx2.Response, status: int) -> dict[str, Any]:
    """The problem that `answer` is: it quotes nothing of the code, and its request id leads to the log."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert not re.search(r"Traceback|File \"|site-packages|Error\(|hunter2", answer.text)
    problem: dict[str, Any] = answer.json()
    assert problem["request_id"] == answer.headers["x-request-id"]
    entries = server.logged(problem["request_id"])
    assert [entry["status"] for entry in entries if entry["event"] == "request"] == [status]
    return problem


def unsigned(algorithm: str, token: str) -> str:
    """`token` with another algorithm in its header, and no signature."""
    header = urlsafe_b64encode(json.dumps({"alg": algorithm, "typ": "at+jwt"}).encode()).rstrip(b"=").decode()
    return f"{header}.{token.split('.')[1]}."


@pytest.mark.parametrize(
    "kind", ["expired", "alg none", "alg of a secret", "unsigned", "changed", "other audience", "no token"]
)
def test_a_token_that_proves_nothing_is_refused(server: Server, kind: str) -> None:
    """401, whatever is wrong with it; the audit log has the refusal."""
    token = server.issuer.issue_token(tenant="acme")
    past = DevIssuer(server.directory, environment="test", audience=NAME, clock=lambda: time.time() - 9000)
    other = DevIssuer(server.directory, environment="test", audience="other")
    sent = {
        "expired": past.issue_token(),
        "alg none": unsigned("none", token),
        "alg of a secret": unsigned("HS256", token),
        "unsigned": token.rpartition(".")[0] + ".",
        "changed": token.replace(".", ".e30", 1),
        "other audience": other.issue_token(),
        "no token": "hunter2",
    }[kind]
    answer = server.request("GET", "/v1/whoami", headers={"authorization": f"Bearer {sent}"})
    problem = check_problem(server, answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert any(entry.get("action") == "auth.refuse" for entry in server.logged(problem["request_id"]))


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/whoami", {"host": "evil.example"}, 421),
        ("GET", "/nowhere", {}, 404),
        ("GET", "/v1/%ff%00", {}, 404),
        ("PATCH", "/v1/whoami", {}, 405),
        ("GET", "/v1/whoami", {"authorization": "Basic eDp5"}, 401),
        ("GET", "/v1/whoami", {"x-big": "x" * 60_000}, 431),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_request_that_leads_nowhere_is_a_problem(
    server: Server, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """An unknown host, path or method, another kind of credential, headers without end."""
    check_problem(server, server.request(method, path, headers=headers), status)


# feature: example
def event(payload: bytes) -> bytes:
    return b'{"type": "a.b", "payload": ' + payload + b"}"


BODIES = {
    "malformed": (event(b"{"), 422),
    "empty": (b"", 422),
    "wrong type": (event(b"[]"), 422),
    "no object": (b"[]", 422),
    "unknown field": (b'{"type": "a.b", "payload": {}, "id": 1}', 422),
    "invalid UTF-8": (event(b'{"a": "\xff"}'), 400),
    "200 levels": (event(b'{"a":' * 200 + b"1" + b"}" * 200), 422),
    "50,000 levels": (event(b'{"a": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"), 400),
    "lone surrogate": (event(b'{"a": "\\ud800"}'), 422),
    "lone surrogate as a name": (event(b'{"\\udfff": 1}'), 422),
    "NUL in the type": (b'{"type": "a\\u0000", "payload": {}}', 422),
    "infinite number": (event(b'{"a": 1e999}'), 422),
    "not a number": (event(b'{"a": NaN}'), 422),
    "number of 5,000 digits": (event(b'{"a": ' + b"9" * 5000 + b"}"), 400),
    "payload too large": (event(b'{"a": "' + b"x" * 70_000 + b'"}'), 413),
    "body too large": (event(b'{"a": "' + b"x" * 300_000 + b'"}'), 413),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_a_problem(server: Server, name: str) -> None:
    """Never a 500, never a stack trace, and nothing is stored."""
    body, status = BODIES[name]
    answer = server.request("POST", "/v1/events", headers={"content-type": "application/json"}, content=body)
    check_problem(server, answer, status)
    assert server.request("GET", "/v1/events", headers={}).json()["items"] == []


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_body_of_another_type_is_a_problem(server: Server, media_type: str) -> None:
    """415, and what would be accepted."""
    answer = server.request("POST", "/v1/events", headers={"content-type": media_type}, content=event(b"{}"))
    check_problem(server, answer, 415)
    assert answer.headers["accept"] == "application/json"


def test_a_database_that_is_away_is_a_problem(tmp_path: Path) -> None:
    """The service starts without it and says 503 and when to come again; the log says why, and neither shows the password."""
    server = Server(tmp_path, AWAY)
    try:
        answer = server.request("GET", "/v1/events", headers={})
        problem = check_problem(server, answer, 503)
        assert answer.headers["retry-after"] == "5"
        assert problem["type"] == f"urn:problem-type:{NAME}:database-unavailable"
        assert any("OperationalError: " in entry["event"] for entry in server.logged(problem["request_id"]))
        assert "hunter2" not in server.output
    finally:
        server.close()


# /feature: example
def ends(directory: Path, *command: str, **environment: str) -> tuple[int, str]:
    """Exit status and output of a command that cannot do its work."""
    process = Process(directory, *command, **environment)
    try:
        return process.end()
    finally:
        process.close()


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    """By the server itself, without a traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        status, output = ends(tmp_path, "uvicorn", "app.main:app", "--port", port)
    assert status != 0
    assert "address already in use" in output
    assert "Traceback" not in output


def test_migrations_of_a_database_that_is_away_are_told_in_one_line(tmp_path: Path) -> None:
    """What could not be reached, and which setting to check; the password stays inside."""
    status, output = ends(tmp_path, "alembic", "upgrade", "head", DATABASE_URL=AWAY)
    assert status == 1
    assert output.splitlines()[-1].startswith("cannot migrate: the database cannot be reached")
    assert "DATABASE_URL" in output
    assert not re.search("Traceback|hunter2", output)


COMMANDS = [["uvicorn", "app.main:app", "--port", "0"], ["alembic", "upgrade", "head"]]
# feature: example
COMMANDS += [["fastness.tool", "worker", "--port", "0"]]
# /feature: example


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_production_without_its_secrets_does_not_start(tmp_path: Path, command: list[str]) -> None:
    """One list of what to set, without a traceback."""
    status, output = ends(tmp_path, *command, ENVIRONMENT="production")
    assert status in {1, 2}
    assert "DATABASE_URL: has its development default" in output
    assert "Traceback" not in output


@pytest.mark.parametrize(("name", "value"), [("DATABASE_URL", "mysql://u:hunter2@h/d"), ("LOG_LEVEL", "loud")])
def test_a_setting_that_cannot_be_used_is_told(tmp_path: Path, name: str, value: str) -> None:
    """In a line, without a traceback, and a secret is not quoted."""
    status, output = ends(tmp_path, "uvicorn", "app.main:app", "--port", "0", **{name: value})
    assert status == 1
    assert len(output.splitlines()) <= 3, output
    assert not re.search("Traceback|hunter2", output)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CLIENT_RATE_LIMIT", "often"),
        ("TRUSTED_PROXIES", '["somewhere"]'),
        ("ALLOWED_HOSTS", '["https://relay.example"]'),
        ("CORS_ORIGINS", '["relay.example"]'),
        ("MAX_IN_FLIGHT", "0"),
    ],
)
def test_no_service_is_made_with_a_setting_that_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    """It is refused in as few words, for the server to tell: see above."""
    monkeypatch.setenv("DEV_KEY_DIRECTORY", str(tmp_path))
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError) as refused:
        create_app(Settings())
    assert len(str(refused.value).splitlines()) <= 3
