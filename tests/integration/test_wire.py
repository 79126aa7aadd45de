"""What strangers send, to a real server over a socket: every answer is a problem, and the connection is left in order."""

import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
# Seconds after which something hangs; generous, because it costs nothing where nothing does.
PATIENCE = 90


@dataclass(frozen=True)
class Answer:
    """One response as it came over the wire."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> dict[str, object]:
        """The problem document; the response is checked to be one, and to carry what every response carries."""
        assert self.headers["content-type"] == "application/problem+json"
        assert self.headers["x-content-type-options"] == "nosniff"
        document: dict[str, object] = json.loads(self.body)
        assert document["request_id"] == self.headers["x-request-id"]
        assert document["status"] == self.status
        return document


class Wire:
    """Speaks HTTP/1.1 by hand."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address

    def send(self, *parts: bytes) -> list[Answer]:
        """Send `parts` over one connection, and give every response that comes until it is closed."""
        with socket.create_connection(self.address, timeout=PATIENCE) as connection:
            for part in parts:
                try:
                    connection.sendall(part)
                except ConnectionError:
                    break  # refused before it was all sent; the answer is on its way
            data = b""
            try:
                while received := connection.recv(65536):
                    data += received
            except ConnectionError:
                pass
        return list(_answers(data))

    def request(self, head: str, body: bytes | Sequence[bytes] = b"", *, headers: str = "Host: 127.0.0.1") -> Answer:
        """Send one request with `Connection: close`, and give its response."""
        lines = f"{head} HTTP/1.1\r\n{headers}\r\nConnection: close\r\n"
        if body and isinstance(body, bytes):
            lines += f"Content-Length: {len(body)}\r\n"
        elif body:
            lines += "Transfer-Encoding: chunked\r\n"
        chunks = [body] if isinstance(body, bytes) else [*(b"%x\r\n%s\r\n" % (len(c), c) for c in body), b"0\r\n\r\n"]
        (answer,) = self.send(lines.encode("latin-1") + b"\r\n", *chunks)
        return answer

    def post(self, body: bytes | Sequence[bytes], media_type: str = "application/json") -> Answer:
        return self.request("POST /items", body, headers=f"Host: 127.0.0.1\r\nContent-Type: {media_type}")


def _answers(data: bytes) -> Iterator[Answer]:
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        length = int(headers.get("content-length", len(data)))
        yield Answer(int(first.split()[1]), headers, data[:length])
        data = data[length:]


@pytest.fixture(scope="module", params=["httptools", "h11"])
def wire(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """The service under uvicorn, with each of its HTTP parsers."""
    command = [sys.executable, "-m", "uvicorn", "wire_app:app", "--app-dir", str(HERE), "--port", "0"]
    # A file, not a pipe: nobody reads along, and a full pipe would stop the server.
    output = tmp_path_factory.mktemp("wire") / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen([*command, "--http", request.param], stdout=file, stderr=subprocess.STDOUT)
    try:
        limit = time.monotonic() + PATIENCE
        while (found := re.search(r"running on http://127\.0\.0\.1:(\d+) ", output.read_text())) is None:
            if process.poll() is not None or time.monotonic() > limit:
                pytest.fail(f"the server does not run:\n{output.read_text()}")
            time.sleep(0.02)
        yield Wire(("127.0.0.1", int(found[1])))
        assert process.poll() is None, f"the server died:\n{output.read_text()}"
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"name": ', 422),
        (b"", 422),
        (b'{"name": 5}', 422),
        (b'{"name": "a", "surprise": true}', 422),
        (b'["name"]', 422),
        (b"null", 422),
        (b'{"name": NaN}', 422),
        (b'{"name": "\xff"}', 400),
        (b"\x00\x01\x02", 422),
        (b'{"name": "a", "parts": ' + b"[" * 40_000 + b"]" * 40_000 + b"}", 400),
        (b'{"name": ' + b"1" * 10_000 + b"}", 400),
        (b'{"name": "\\ud800"}', 422),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_a_bad_body_is_a_problem(wire: Wire, body: bytes, status: int) -> None:
    """Malformed JSON, wrong types, unknown fields, invalid UTF-8, deep nesting."""
    answer = wire.post(body)
    assert answer.status == status
    assert "Traceback" not in str(answer.problem)


def test_a_wrong_content_type_is_a_problem(wire: Wire) -> None:
    """JSON that does not say so, and a form."""
    assert wire.post(b'{"name": "a"}', "text/plain").problem["status"] == 415
    assert wire.post(b"name=a", "application/x-www-form-urlencoded").problem["status"] == 415


@pytest.mark.parametrize("size", [100_001, 2_000_000, 20_000_000])
def test_an_oversize_body_is_refused_and_the_answer_arrives(wire: Wire, size: int) -> None:
    """With a length, the client reads a 413 although its body is not wanted, and the connection is closed."""
    answer = wire.post(b"x" * size)
    assert answer.problem["status"] == 413
    assert answer.headers["connection"] == "close"


def test_an_oversize_chunked_body_is_refused(wire: Wire) -> None:
    """Without a length, the limit is found by counting."""
    assert wire.post([b"x" * 10_000] * 11).problem["status"] == 413


def test_a_length_does_not_hide_a_chunked_body(wire: Wire) -> None:
    """With both a small Content-Length and chunks, the server refuses the request or the chunks are counted."""
    head = b"POST /items HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
    (answer, *_) = wire.send(head, *[b"2710\r\n%s\r\n" % (b"x" * 10_000)] * 11, b"0\r\n\r\n")
    assert answer.status in (400, 413)


def test_a_client_that_asks_first_is_refused_at_once(wire: Wire) -> None:
    """With Expect: 100-continue the answer comes without the body."""
    head = b"POST /items HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5000000\r\nExpect: 100-continue\r\n\r\n"
    (answer,) = wire.send(head)
    assert answer.problem["status"] == 413


def test_ten_megabytes_of_headers_are_refused(wire: Wire) -> None:
    """By us where the server lets them through, by the server where it does not."""
    head = b"GET /search HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nX-Big: " + b"x" * 10_000_000 + b"\r\n\r\n"
    answers = wire.send(head)
    assert [answer.status for answer in answers] in ([431], [400], [])
    assert wire.request("GET /search").status == 200


def test_twenty_thousand_headers_are_refused(wire: Wire) -> None:
    """Many small ones are as bad as a large one."""
    lines = b"".join(b"X-%d: y\r\n" % number for number in range(20_000))
    answers = wire.send(b"GET /search HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n" + lines + b"\r\n")
    assert [answer.status for answer in answers] in ([431], [400], [])


@pytest.mark.parametrize("headers", ["Host: evil.example", "Host: 127.0.0.1.evil.example", "Host: 127.0.0.1@evil.example"])
def test_an_unknown_host_is_a_problem(wire: Wire, headers: str) -> None:
    """Another name is another service."""
    assert wire.request("GET /search", headers=headers).problem["status"] == 421


def test_a_repeated_host_is_refused(wire: Wire) -> None:
    """By us where the server lets it through."""
    assert wire.request("GET /search", headers="Host: 127.0.0.1\r\nHost: evil.example").status == 400


@pytest.mark.parametrize(
    ("path", "status"),
    [("/search?q=%ff%fe", 200), ("/search?q=" + "a" * 11, 422), ("/nowhere%00", 404), ("/%2e%2e/%2e%2e/etc/passwd", 404)],
)
def test_odd_paths_and_queries_are_answered(wire: Wire, path: str, status: int) -> None:
    """Percent-encoded garbage, a query that is too long, climbing paths."""
    assert wire.request(f"GET {path}").status == status


def test_an_unknown_method_is_a_problem(wire: Wire) -> None:
    """With the ones that are allowed."""
    answer = wire.request("PATCH /items")
    assert answer.problem["status"] == 405
    assert answer.headers["allow"] == "POST"


def test_a_slow_endpoint_is_a_problem(wire: Wire) -> None:
    """The deadline ends it."""
    assert wire.request("GET /slow").problem["status"] == 504


def test_a_broken_endpoint_tells_nothing(wire: Wire) -> None:
    """Neither text nor type of the exception."""
    answer = wire.request("GET /broken")
    assert answer.problem["status"] == 500
    assert b"hunter2" not in answer.body
    assert b"RuntimeError" not in answer.body


def test_a_connection_survives_a_problem(wire: Wire) -> None:
    """After a 404, a 422 and a 500, the next request on the same connection is served."""
    line = b" HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    bad = b"POST /items" + line + b"Content-Type: application/json\r\nContent-Length: 1\r\n\r\n{"
    last = b"GET /search?q=end" + line + b"Connection: close\r\n\r\n"
    answers = wire.send(b"GET /nowhere" + line + b"\r\n", bad, b"GET /broken" + line + b"\r\n", last)
    assert [answer.status for answer in answers] == [404, 422, 500, 200]
    assert answers[-1].body == b'"end"'
