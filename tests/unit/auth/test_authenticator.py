"""From headers to a principal or a problem, and what is noted on the way."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import REGISTRY
from starlette.datastructures import Headers

from fastness import audit
from fastness.auth import Authenticator, Principal, Reason, Refused, Unavailable
from fastness.problems import Problem

pytestmark = pytest.mark.anyio

ALICE = Principal("alice", "acme", frozenset({"a"}))
BOT = Principal("bot", method="api_key")


class Fake:
    """A verifier with a fixed verdict."""

    def __init__(self, verdict: Any) -> None:
        self.verdict = verdict
        self.seen: list[str] = []

    async def verify(self, credential: str) -> Principal:
        self.seen.append(credential)
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


def headers(*lines: tuple[str, str]) -> Headers:
    return Headers(raw=[(name.lower().encode(), value.encode()) for name, value in lines])


async def problem(authenticator: Authenticator, *lines: tuple[str, str], **options: Any) -> Problem:
    with pytest.raises(Problem) as raised:
        await authenticator.authenticate(headers(*lines), **options)
    return raised.value


@pytest.fixture
def audited(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    events: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(audit, "record", lambda action, **facts: events.append((action, facts)))
    return events


@pytest.mark.parametrize("line", ["Bearer t0ken", "bearer t0ken", "BEARER   t0ken "])
async def test_reads_a_bearer_token(line: str) -> None:
    """The scheme has no case (RFC 9110, section 11.1)."""
    fake = Fake(ALICE)
    assert await Authenticator(jwt=fake).authenticate(headers(("Authorization", line))) is ALICE
    assert fake.seen == ["t0ken"]


async def test_reads_an_api_key() -> None:
    """X-API-Key goes to the verifier of keys, and to no other."""
    token, key = Fake(ALICE), Fake(BOT)
    both = Authenticator(jwt=token, api_key=key)
    assert await both.authenticate(headers(("X-API-Key", "k"))) is BOT
    assert (token.seen, key.seen) == ([], ["k"])


@pytest.mark.parametrize("line", [None, "", "Basic YTpi", "Token x", "Bearerx"])
async def test_no_credential_is_a_challenge_without_error_code(line: str | None) -> None:
    """Who sent nothing is told how to authenticate, and no more (RFC 6750, section 3.1)."""
    lines = [] if line is None else [("Authorization", line)]
    refused = await problem(Authenticator(jwt=Fake(ALICE), realm="relay"), *lines)
    assert refused.kind.status == 401
    assert refused.headers == {"WWW-Authenticate": 'Bearer realm="relay"'}


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason not in (Reason.MISSING, Reason.AMBIGUOUS)])
async def test_clients_do_not_learn_which_check_failed(reason: Reason, audited: list[Any]) -> None:
    """Every refused token gets the same answer; the reason is for the audit log and the metric."""
    before = REGISTRY.get_sample_value("fastness_auth_refusals_total", {"reason": reason.value}) or 0
    refused = await problem(Authenticator(jwt=Fake(Refused(reason))), ("Authorization", "Bearer s3cret"))
    assert refused.document() == {
        "type": "urn:problem-type:fastness:unauthenticated",
        "title": "Authentication is required",
        "status": 401,
        "detail": "The credential is not valid.",
    }
    assert refused.headers == {"WWW-Authenticate": 'Bearer realm="api", error="invalid_token"'}
    assert audited == [("auth.refuse", {"reason": reason.value, "method": "jwt"})]
    assert REGISTRY.get_sample_value("fastness_auth_refusals_total", {"reason": reason.value}) == before + 1


async def test_challenges_name_every_way_that_is_open() -> None:
    """Where both are taken, both are offered; a bad key says nothing about tokens."""
    both = Authenticator(jwt=Fake(ALICE), api_key=Fake(Refused(Reason.SECRET)))
    refused = await problem(both, ("X-API-Key", "k"))
    assert refused.headers == {"WWW-Authenticate": 'Bearer realm="api", APIKey realm="api"'}
    refused = await problem(both, methods=("api_key",))
    assert refused.headers == {"WWW-Authenticate": 'APIKey realm="api"'}


@pytest.mark.parametrize(
    "lines",
    [
        [("Authorization", "Bearer a"), ("Authorization", "Bearer a")],
        [("Authorization", "Bearer a"), ("X-API-Key", "k")],
        [("X-API-Key", "k"), ("X-API-Key", "l")],
    ],
)
async def test_several_credentials_are_none(lines: list[tuple[str, str]]) -> None:
    """There is no choosing between credentials, not even between equal ones; none of them is verified."""
    token, key = Fake(ALICE), Fake(BOT)
    refused = await problem(Authenticator(jwt=token, api_key=key), *lines)
    assert refused.kind.status == 400
    assert 'error="invalid_request"' in refused.headers["WWW-Authenticate"]
    assert token.seen == key.seen == []


async def test_credentials_that_the_endpoint_does_not_take_are_not_looked_at() -> None:
    """A key that a gateway adds does not disturb an endpoint for tokens."""
    token, key = Fake(ALICE), Fake(BOT)
    both = Authenticator(jwt=token, api_key=key)
    lines = (("Authorization", "Bearer a"), ("X-API-Key", "k"))
    assert await both.authenticate(headers(*lines), methods=("jwt",)) is ALICE
    assert key.seen == []


@pytest.mark.parametrize(("wait", "header"), [(0.0, "1"), (0.2, "1"), (7.1, "8"), (30.0, "30")])
async def test_no_keys_is_503_and_not_401(wait: float, header: str, audited: list[Any]) -> None:
    """A client must not throw a good token away because we cannot verify it; and it does not get in."""
    unavailable = Unavailable("jwks: no usable keys", retry_after=wait)
    answer = await problem(Authenticator(jwt=Fake(unavailable)), ("Authorization", "Bearer t"))
    assert answer.kind.status == 503
    assert answer.headers == {"Retry-After": header}
    assert "jwks" not in answer.body().decode()
    assert answer.__cause__ is unavailable
    assert audited == []


@pytest.mark.parametrize("verdict", [None, True, "alice", {"sub": "alice"}])
async def test_a_verifier_that_returns_no_principal_lets_nobody_in(verdict: Any) -> None:
    """None is not an anonymous caller: it is a fault."""
    with pytest.raises(TypeError, match=r"Fake\.verify returned"):
        await Authenticator(jwt=Fake(verdict)).authenticate(headers(("Authorization", "Bearer t")))


async def test_errors_of_a_verifier_go_on() -> None:
    """What a verifier does not say about the credential is a fault of ours, and not access."""
    with pytest.raises(ConnectionError):
        await Authenticator(jwt=Fake(ConnectionError())).authenticate(headers(("Authorization", "Bearer t")))


async def test_an_endpoint_that_nobody_can_enter_says_so() -> None:
    """A guard for keys in a service without keys is a mistake in the service."""
    with pytest.raises(RuntimeError, match="takes api_key, and the Authenticator has no verifier"):
        await Authenticator(jwt=Fake(ALICE)).authenticate(headers(("X-API-Key", "k")), methods=("api_key",))


def test_a_missing_scope_is_403_with_the_scopes_that_are_needed(audited: list[Any]) -> None:
    """The challenge has insufficient_scope and the scopes (RFC 6750, section 3); the event has those that are missing."""
    denied = Authenticator(jwt=Fake(ALICE)).deny(ALICE, {"b", "a"})
    assert denied.kind.status == 403
    assert denied.headers == {"WWW-Authenticate": 'Bearer realm="api", error="insufficient_scope", scope="a b"'}
    assert denied.extensions == {"required_scopes": ["a", "b"]}
    assert audited == [("auth.deny", {"method": "jwt", "missing": ["b"]})]


def test_a_key_without_scope_gets_no_bearer_challenge() -> None:
    """A challenge for tokens would mislead the owner of a key."""
    denied = Authenticator(api_key=Fake(BOT)).deny(BOT, {"a"})
    assert denied.headers == {}


@pytest.mark.parametrize("realm", ['a"b', "a\\b", "a\r\nb", "é"])
def test_refuses_realms_that_break_the_header(realm: str) -> None:
    """A realm stands between quotes in a header line."""
    with pytest.raises(ValueError, match="realm"):
        Authenticator(jwt=Fake(ALICE), realm=realm)


def test_refuses_to_be_without_verifiers() -> None:
    """An authenticator that cannot authenticate anyone is not made."""
    with pytest.raises(ValueError, match="needs a verifier"):
        Authenticator()
