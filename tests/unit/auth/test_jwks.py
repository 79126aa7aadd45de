"""Fetched keys: rotation, stampedes, dead issuers and bad answers. The issuer is a transport; clocks are set by hand."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from joserfc.jwk import RSAKey
from prometheus_client import REGISTRY

from fastness import audit
from fastness.auth import JWKS, Unavailable

pytestmark = pytest.mark.anyio

URL = "https://issuer.example/jwks.json"


class Remote:
    """An issuer's HTTP side: answers with `answer`, which may be a document, a response or an exception."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.requests: list[httpx2.Request] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.client = httpx2.AsyncClient(transport=httpx2.MockTransport(self._handle))
        self.now = 1000.0

    async def _handle(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request)
        self.asked.set()
        await self.gate.wait()
        answer = self.answer(request) if callable(self.answer) else self.answer
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx2.Response) else httpx2.Response(200, json=answer)

    def jwks(self, **changes: Any) -> JWKS:
        options: dict[str, Any] = {"refresh_every": 600, "cooldown": 30, "max_age": 3600, "name": "test"}
        if "issuer" not in changes:
            options["url"] = URL
        return JWKS(client=self.client, clock=lambda: self.now, **{**options, **changes})

    @asynccontextmanager
    async def opened(self, **changes: Any) -> AsyncIterator[JWKS]:
        jwks = self.jwks(**changes)
        await jwks.open()
        try:
            yield jwks
        finally:
            await jwks.close()


@pytest.fixture
def remote(issuer: Any) -> Remote:
    return Remote(issuer.jwks())


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    events: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(audit, "record", lambda action, **facts: events.append((action, facts)))
    return events


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, {"jwks": "test", **labels}) or 0.0


# --- keys are there


async def test_opening_fetches_the_keys(remote: Remote) -> None:
    """After open, keys are found without another request."""
    async with remote.opened() as jwks:
        await jwks.check()
        assert await jwks.find("rsa", "RS256") is not None
        assert await jwks.find("ec", "ES256") is not None
    assert [str(request.url) for request in remote.requests] == [URL]


async def test_metrics_tell_age_and_size(remote: Remote) -> None:
    """When the set was fetched, and how many keys it has, can be alerted on."""
    before = sample("fastness_auth_jwks_refreshes_total", outcome="ok")
    async with remote.opened():
        assert sample("fastness_auth_jwks_refreshes_total", outcome="ok") == before + 1
        assert sample("fastness_auth_jwks_keys") == 3
        assert sample("fastness_auth_jwks_refreshed_timestamp_seconds") > 1.7e9


async def test_a_given_client_stays_open(remote: Remote) -> None:
    """Whoever made the client closes it."""
    async with remote.opened():
        pass
    assert not remote.client.is_closed


async def test_a_start_that_is_given_up_leaves_nothing_open(remote: Remote) -> None:
    """Cancelled while it fetches, `open` ends as cancelled, and can be called again."""
    remote.gate.clear()
    jwks = remote.jwks()
    opening = asyncio.create_task(jwks.open())
    await remote.asked.wait()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    with pytest.raises(Unavailable, match="not open"):
        await jwks.check()
    remote.gate.set()
    await jwks.open()
    await jwks.check()
    await jwks.close()


async def test_can_be_opened_again_after_it_was_closed(remote: Remote) -> None:
    """Closing forgets the keys; opening twice at once is a mistake that is named."""
    jwks = remote.jwks()
    await jwks.open()
    with pytest.raises(RuntimeError, match="already open"):
        await jwks.open()
    await jwks.close()
    with pytest.raises(Unavailable, match="not open"):
        await jwks.check()
    await jwks.open()
    await jwks.check()
    await jwks.close()
    await jwks.close()


async def test_without_opening_there_are_no_keys(remote: Remote) -> None:
    """A JWKS that was left out of the lifespan says so, and fetches nothing."""
    with pytest.raises(Unavailable, match="add it to the resources of the lifespan"):
        await remote.jwks().find("rsa", "RS256")
    assert remote.requests == []


# --- rotation


async def test_an_unknown_key_is_fetched(remote: Remote, issuer: Any, audited: list[Any]) -> None:
    """A token signed with a key that is newer than the set works at once, and the change is audited."""
    async with remote.opened() as jwks:
        new = RSAKey.generate_key(2048, {"kid": "new"})
        remote.answer = issuer.jwks(issuer.ec, issuer.ed, new)
        remote.now += 31
        assert await jwks.find("new", "RS256") is not None
        assert await jwks.find("rsa", "RS256") is None
    assert len(remote.requests) == 2
    assert audited == [("key.rotate", {"outcome": "changed", "jwks": "test", "added": ["new"], "removed": ["rsa"]})]


async def test_a_key_that_is_replaced_under_its_id_is_a_rotation(remote: Remote, issuer: Any, audited: list[Any]) -> None:
    """It is the key that counts, not its name."""
    async with remote.opened() as jwks:
        remote.answer = issuer.jwks(issuer.stranger, issuer.ec, issuer.ed)
        assert await jwks.run_once()
        assert await jwks.run_once()
    assert [facts["added"] for _, facts in audited] == [["rsa"]]


async def test_unknown_keys_cause_one_fetch_per_cooldown(remote: Remote) -> None:
    """Tokens with made-up key ids cannot be used to flood the issuer."""
    async with remote.opened() as jwks:
        for attempt in range(100):
            remote.now += 0.29
            assert await jwks.find(f"made-up-{attempt}", "RS256") is None
        assert len(remote.requests) == 1
        remote.now += 30
        for attempt in range(100):
            assert await jwks.find(f"made-up-{attempt}", "RS256") is None
        assert len(remote.requests) == 2


async def test_a_stampede_is_one_fetch(remote: Remote, issuer: Any) -> None:
    """However many requests meet an unknown key at once, one asks the issuer and all get the answer."""
    async with remote.opened() as jwks:
        remote.now += 31
        remote.answer = issuer.jwks(RSAKey.generate_key(2048, {"kid": "new"}))
        remote.gate.clear()
        remote.asked.clear()
        lookups = [asyncio.create_task(jwks.find("new", "RS256")) for _ in range(200)]
        await remote.asked.wait()
        remote.gate.set()
        assert all(await asyncio.gather(*lookups))
    assert len(remote.requests) == 2


async def test_a_request_that_gives_up_does_not_stop_the_fetch(remote: Remote, issuer: Any) -> None:
    """The others still get their keys when the one that caused the fetch is cancelled."""
    async with remote.opened() as jwks:
        remote.now += 31
        remote.answer = issuer.jwks(RSAKey.generate_key(2048, {"kid": "new"}))
        remote.gate.clear()
        remote.asked.clear()
        first = asyncio.create_task(jwks.find("new", "RS256"))
        await remote.asked.wait()
        second = asyncio.create_task(jwks.find("new", "RS256"))
        await asyncio.sleep(0)
        first.cancel()
        remote.gate.set()
        assert await second is not None
        with pytest.raises(asyncio.CancelledError):
            await first
    assert len(remote.requests) == 2


# --- dead issuers


@pytest.mark.parametrize("error", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow"), RuntimeError("bug")])
async def test_a_dead_issuer_does_not_take_fresh_keys_away(
    remote: Remote, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys are used up to max_age, whatever happens to the issuer; each failure is logged and counted."""
    before = sample("fastness_auth_jwks_refreshes_total", outcome="failed")
    async with remote.opened() as jwks:
        remote.answer = error
        remote.now += 3600
        with caplog.at_level(logging.WARNING, "fastness.auth"):
            assert not await jwks.run_once()
        await jwks.check()
        assert await jwks.find("rsa", "RS256") is not None
        assert await jwks.find("unknown", "RS256") is None
        remote.now += 1
        with pytest.raises(Unavailable):
            await jwks.check()
        with pytest.raises(Unavailable, match="no usable keys"):
            await jwks.find("rsa", "RS256")
    assert type(error).__name__ in caplog.text
    assert URL in caplog.text
    assert sample("fastness_auth_jwks_refreshes_total", outcome="failed") == before + 1


async def test_keys_come_back_with_the_issuer(remote: Remote, issuer: Any) -> None:
    """A set that has grown too old is fetched by the request that needs it, once the cooldown is over."""
    async with remote.opened() as jwks:
        remote.now += 4000
        remote.answer = httpx2.ConnectError("refused")
        with pytest.raises(Unavailable):
            await jwks.find("rsa", "RS256")
        remote.answer = issuer.jwks()
        with pytest.raises(Unavailable):
            await jwks.find("rsa", "RS256")
        remote.now += 30
        assert await jwks.find("rsa", "RS256") is not None


async def test_the_service_starts_without_its_issuer(remote: Remote, issuer: Any) -> None:
    """open returns, check says that there are no keys, and they are there once the issuer is."""
    remote.answer = httpx2.ConnectError("refused")
    async with remote.opened() as jwks:
        with pytest.raises(Unavailable) as unavailable:
            await jwks.check()
        assert unavailable.value.retry_after == 1
        remote.answer = issuer.jwks()
        assert await jwks.run_once()
        await jwks.check()
        assert await jwks.find("rsa", "RS256") is not None


async def test_a_dead_issuer_is_not_asked_by_every_request(remote: Remote) -> None:
    """Without any keys, too, requests cause one fetch per cooldown, and the others are answered at once."""
    remote.answer = httpx2.ConnectError("refused")
    async with remote.opened() as jwks:
        for _ in range(50):
            with pytest.raises(Unavailable):
                await jwks.find("rsa", "RS256")
    assert len(remote.requests) == 1


async def test_failures_are_retried_ever_later(remote: Remote, issuer: Any) -> None:
    """The pause after a failure doubles from a second to the usual interval, and a success resets it."""
    remote.answer = httpx2.ConnectError("refused")
    async with remote.opened() as jwks:
        pauses = []
        for _ in range(12):
            pauses.append(jwks._until_next())
            await jwks.run_once()
        assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600]
        for _ in range(2000):
            jwks._failures += 1
            assert jwks._until_next() == 600
        remote.answer = issuer.jwks()
        await jwks.run_once()
        assert jwks._until_next() == 600
        assert jwks._failures == 0


# --- bad answers


def redirect(_: httpx2.Request) -> httpx2.Response:
    return httpx2.Response(302, headers={"location": "https://issuer.example/other"})


@pytest.mark.parametrize(
    "answer",
    [
        httpx2.Response(500),
        httpx2.Response(404, json={"keys": []}),
        httpx2.Response(200, content=b""),
        httpx2.Response(200, content=b"<html>"),
        httpx2.Response(200, content=b"[" * 100_000),
        httpx2.Response(200, content=b"\xff\xfe\x00"),
        httpx2.Response(200, content=b" " * 262_145),
        {},
        [],
        {"keys": []},
        {"keys": "rsa"},
        {"keys": [{"kty": "oct", "kid": "rsa", "k": "A" * 43}]},
        redirect,
    ],
    ids=lambda answer: None,
)
async def test_an_answer_without_keys_changes_nothing(remote: Remote, answer: Any) -> None:
    """Errors, redirects, broken, deep, empty and oversized documents leave the keys as they were."""
    async with remote.opened() as jwks:
        remote.answer = answer
        assert not await jwks.run_once()
        assert await jwks.find("rsa", "RS256") is not None
    assert len(remote.requests) == 2


async def test_a_key_set_in_an_error_is_no_key_set(remote: Remote, issuer: Any) -> None:
    """Only 200 counts, whatever the body says."""
    async with remote.opened() as jwks:
        for status in (201, 206, 403, 500):
            remote.answer = httpx2.Response(status, json=issuer.jwks(issuer.stranger))
            assert not await jwks.run_once()
        assert await jwks.find("ec", "ES256") is not None


async def test_compressed_answers_are_refused(remote: Remote, issuer: Any) -> None:
    """A small answer cannot become a large one: compression is declined, and refused when it comes all the same."""
    body = gzip.compress(json.dumps(issuer.jwks()).encode())

    def compressed(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-encoding": "gzip"}, stream=httpx2.ByteStream(body))

    async with remote.opened() as jwks:
        remote.answer = compressed
        assert not await jwks.run_once()
    assert {request.headers["accept-encoding"] for request in remote.requests} == {"identity"}


# --- discovery


def discovery(issuer: Any, /, **changes: Any) -> Callable[[httpx2.Request], Any]:
    document = {"issuer": issuer.name, "jwks_uri": URL, **changes}
    return lambda request: issuer.jwks() if str(request.url) == URL else document


async def test_discovers_the_address_of_the_keys(remote: Remote, issuer: Any) -> None:
    """The discovery document names the key set (OpenID Connect Discovery, section 4)."""
    remote.answer = discovery(issuer)
    async with remote.opened(issuer=issuer.name) as jwks:
        assert await jwks.find("rsa", "RS256") is not None
    assert [request.url.path for request in remote.requests] == ["/.well-known/openid-configuration", "/jwks.json"]


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "https://evil.example"},
        {"issuer": "https://issuer.example/"},
        {"jwks_uri": "http://issuer.example/jwks.json"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": None},
        {"jwks_uri": ["https://issuer.example/jwks.json"]},
    ],
)
async def test_refuses_a_discovery_document_that_misleads(remote: Remote, issuer: Any, changes: dict[str, Any]) -> None:
    """Another issuer's document, and an address that may not be used, give no keys and no further request."""
    remote.answer = discovery(issuer, **changes)
    async with remote.opened(issuer=issuer.name) as jwks:
        with pytest.raises(Unavailable):
            await jwks.check()
    assert len(remote.requests) == 1


# --- configuration


@pytest.mark.parametrize(
    "url",
    [
        "http://issuer.example/jwks.json",
        "http://127.0.0.1.evil.example/jwks.json",
        "http://localhost.evil.example/",
        "http://10.0.0.1/",
        "ftp://issuer.example/",
        "https://",
        "issuer.example",
        "",
        "https://[::1",
        "https://issuer.example/#keys",
    ],
)
def test_refuses_addresses_that_are_not_safe(url: str) -> None:
    """Keys come over https, or from this machine."""
    with pytest.raises(ValueError):
        JWKS(url)
    with pytest.raises(ValueError):
        JWKS(issuer=url)


def test_an_address_with_credentials_is_refused_without_showing_them() -> None:
    """A password in an address would reach logs; the error does not do it either."""
    with pytest.raises(ValueError) as refused:
        JWKS("https://user:hunter2@issuer.example/jwks.json")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "[::1]", "idp.localhost"])
def test_http_is_for_loopback(host: str) -> None:
    """A local issuer needs no certificate."""
    JWKS(f"http://{host}:8080/jwks.json")


@pytest.mark.parametrize(
    "changes",
    [
        {"url": None},
        {"issuer": "https://issuer.example"},
        {"cooldown": 0},
        {"cooldown": 601},
        {"max_age": 599},
        {"timeout": 0},
        {"max_bytes": 0},
    ],
)
def test_refuses_times_that_contradict_each_other(changes: dict[str, Any]) -> None:
    """A cooldown fits into the interval, and the interval into the greatest age."""
    with pytest.raises(ValueError, match="JWKS needs"):
        JWKS(**{"url": URL, "refresh_every": 600, **changes})
