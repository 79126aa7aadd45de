"""Requests to subscribers, against a real server that does whatever servers do."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app.domain.deliveries import AttemptError
from app.infra.http.sender import HTTPSender
from tests.integration.receiver import answer, receiving

LOOPBACK = ["127.0.0.0/8"]


@asynccontextmanager
async def opened(*, time_limit: float) -> AsyncIterator[HTTPSender]:
    made = HTTPSender(time_limit=time_limit, allowed=LOOPBACK)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
async def sender() -> AsyncIterator[HTTPSender]:
    async with opened(time_limit=60) as made:
        yield made


async def test_a_success_is_an_outcome_without_error(sender: HTTPSender) -> None:
    """The body and the headers arrive as they were given."""
    async with receiving() as receiver:
        outcome = await sender.send(receiver.url, headers={"webhook-id": "evt_1"}, body=b'{"a":1}')
    assert (outcome.status_code, outcome.error) == (204, None)
    [(headers, body)] = receiver.requests
    assert (headers["webhook-id"], headers["content-type"], body) == ("evt_1", "application/json", b'{"a":1}')


@pytest.mark.parametrize("status", [300, 301, 400, 404, 410, 429, 500, 503, 599])
async def test_any_other_status_is_a_failure(sender: HTTPSender, status: int) -> None:
    """With the beginning of what was answered."""
    async with receiving(answer(status, b"sorry")) as receiver:
        outcome = await sender.send(receiver.url, headers={}, body=b"")
    assert (outcome.status_code, outcome.error, outcome.excerpt) == (status, AttemptError.STATUS, "sorry")


async def test_redirects_are_not_followed(sender: HTTPSender) -> None:
    """They would lead past the checks of the URL, and repeat the load."""
    async with receiving() as target, receiving(answer(307, location=target.url)) as receiver:
        outcome = await sender.send(receiver.url, headers={}, body=b"")
    assert (outcome.status_code, target.requests) == (307, [])


async def test_the_excerpt_is_bounded(sender: HTTPSender) -> None:
    """A receiver that sends without end is cut off; what is no text becomes some."""

    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"\0\xff" * 10_000)
            await writer.drain()

    async with receiving(flood) as receiver:
        outcome = await sender.send(receiver.url, headers={}, body=b"")
    assert outcome.error is None
    assert len(outcome.excerpt) == 1024
    assert "\0" not in outcome.excerpt


async def test_a_receiver_has_a_time_limit() -> None:
    """As a whole: one byte now and then does not prolong it."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    async with receiving(drip) as receiver, opened(time_limit=0.5) as sender, asyncio.timeout(60):
        outcome = await sender.send(receiver.url, headers={}, body=b"")
    assert (outcome.status_code, outcome.error) == (None, AttemptError.TIMEOUT)
    assert 0.4 < outcome.duration < 60


async def test_what_is_not_http_is_a_protocol_error(sender: HTTPSender) -> None:
    """Something else listens there."""
    async with receiving(b"SSH-2.0-OpenSSH\r\n") as receiver:
        outcome = await sender.send(receiver.url, headers={}, body=b"")
    assert outcome.error is AttemptError.PROTOCOL


async def test_nobody_there_is_unreachable(sender: HTTPSender, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused connections, names that do not exist."""

    async def resolve(*_: object, **__: object) -> None:  # as a resolver answers; a real one may be slow, or lie
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert (await sender.send("http://127.0.0.1:9/", headers={}, body=b"")).error is AttemptError.UNREACHABLE
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    assert (await sender.send("http://nowhere.invalid/", headers={}, body=b"")).error is AttemptError.UNREACHABLE


async def test_an_address_inside_is_forbidden() -> None:
    """Where it is not allowed, loopback is as far away as the metadata service; no connection is made."""
    sender = HTTPSender(time_limit=60)
    await sender.open()
    async with receiving() as receiver:
        outcome = await sender.send(receiver.url, headers={}, body=b"")
    await sender.close()
    assert (outcome.error, receiver.requests) == (AttemptError.FORBIDDEN_ADDRESS, [])


async def test_no_proxy_of_the_environment_is_used(sender: HTTPSender, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would connect where we cannot look."""
    async with receiving() as proxy, receiving() as receiver:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        await sender.close()
        await sender.open()
        await sender.send(receiver.url, headers={}, body=b"")
    assert (len(proxy.requests), len(receiver.requests)) == (0, 1)


@pytest.mark.parametrize(("value", "seconds"), [("120", 120.0), ("x", None), ("-1", None), ("9" * 20, None), ("1.5", None)])
async def test_retry_after_is_read(sender: HTTPSender, value: str, seconds: float | None) -> None:
    """Seconds, if they are some."""
    async with receiving(answer(503, retry_after=value)) as receiver:
        assert (await sender.send(receiver.url, headers={}, body=b"")).retry_after == seconds


async def test_retry_after_may_be_a_date(sender: HTTPSender) -> None:
    """RFC 9110, section 10.2.3."""
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=5), usegmt=True)
    async with receiving(answer(503, retry_after=date)) as receiver:
        retry_after = (await sender.send(receiver.url, headers={}, body=b"")).retry_after
    assert retry_after is not None
    assert 200 < retry_after <= 300


async def test_a_sender_that_is_not_open_says_so() -> None:
    """A fault of the composition, not of the receiver."""
    with pytest.raises(RuntimeError, match="not open"):
        await HTTPSender(time_limit=1).send("http://example.com", headers={}, body=b"")
