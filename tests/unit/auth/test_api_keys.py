"""API keys: making them, and who gets in with one."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastness.auth import APIKey, APIKeyVerifier, NewAPIKey, Principal, Reason, Refused, generate_api_key

pytestmark = pytest.mark.anyio

NOW = datetime(2030, 1, 1, tzinfo=UTC)


class Store:
    """The app's table of keys, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, APIKey] = {}
        self.asked: list[str] = []

    def add(self, new: NewAPIKey, **facts: Any) -> None:
        self.rows[new.id] = APIKey(id=new.id, hash=new.hash, subject="bot", tenant="acme", scopes=frozenset({"a"}), **facts)

    async def lookup(self, key_id: str) -> APIKey | None:
        self.asked.append(key_id)
        return self.rows.get(key_id)

    def verifier(self) -> APIKeyVerifier:
        return APIKeyVerifier(self.lookup, clock=lambda: NOW)


async def refusal(store: Store, key: str) -> Reason:
    with pytest.raises(Refused) as refused:
        await store.verifier().verify(key)
    return refused.value.reason


def test_a_new_key_is_shown_once() -> None:
    """The key has a public prefix and id; only its hash is fit to be stored, and neither log nor repr shows the secret."""
    new = generate_api_key("relay")
    assert re.fullmatch(rf"relay_{new.id}_[A-Za-z0-9]{{43}}", new.key)
    assert new.hash == hashlib.sha256(new.key.encode()).hexdigest()
    secret = new.key.rpartition("_")[2]
    assert secret not in repr(new)
    assert secret not in new.hash


def test_keys_are_random() -> None:
    """No two keys share an id or a secret."""
    keys = [generate_api_key() for _ in range(50)]
    assert len({key.id for key in keys}) == len({key.key.rpartition("_")[2] for key in keys}) == 50


@pytest.mark.parametrize("prefix", ["", "Relay", "1relay", "re_lay", "re lay", "r" * 17, "relé", "relay\n"])
def test_refuses_prefixes_that_cannot_be_read_back(prefix: str) -> None:
    """A prefix is a lower-case letter and up to 15 letters or digits."""
    with pytest.raises(ValueError, match="prefix"):
        generate_api_key(prefix)


async def test_accepts_a_stored_key() -> None:
    """A key proves the subject, tenant and scopes that are stored with it."""
    store, new = Store(), generate_api_key()
    store.add(new, expires_at=NOW + timedelta(seconds=1))
    assert await store.verifier().verify(new.key) == Principal("bot", "acme", frozenset({"a"}), "api_key")
    assert store.asked == [new.id]


async def test_refuses_an_unknown_key() -> None:
    """A well-formed key that is not stored is refused."""
    assert await refusal(Store(), generate_api_key().key) is Reason.UNKNOWN_KEY


async def test_refuses_another_secret() -> None:
    """The id alone proves nothing, nor does another key's secret."""
    store, new = Store(), generate_api_key()
    store.add(new)
    other = generate_api_key().key.rpartition("_")[2]
    assert await refusal(store, f"key_{new.id}_{other}") is Reason.SECRET
    assert await refusal(store, new.key.replace("key_", "yek_")) is Reason.SECRET


@pytest.mark.parametrize("stored", ["", "0" * 64])
async def test_a_broken_record_lets_nobody_in(stored: str) -> None:
    """A record whose hash is empty or wrong matches no key."""
    store, new = Store(), generate_api_key()
    store.rows[new.id] = APIKey(id=new.id, hash=stored, subject="bot")
    assert await refusal(store, new.key) is Reason.SECRET


async def test_refuses_revoked_and_expired_keys() -> None:
    """A key ends at the moment it expires, and at once when it is revoked."""
    store, revoked, expired = Store(), generate_api_key(), generate_api_key()
    store.add(revoked, revoked_at=NOW)
    store.add(expired, expires_at=NOW)
    assert await refusal(store, revoked.key) is Reason.REVOKED
    assert await refusal(store, expired.key) is Reason.EXPIRED


def test_refuses_times_without_a_zone() -> None:
    """A time that a database gave back without its zone would be compared wrongly, so it is an error that names the key."""
    with pytest.raises(ValueError, match=r"ab12.*expires_at.*time zone"):
        APIKey(id="ab12", hash="", subject="bot", expires_at=datetime(2030, 1, 1))  # noqa: DTZ001


def test_a_stored_hash_is_not_in_its_repr() -> None:
    """Records end up in logs."""
    new = generate_api_key()
    assert new.hash not in repr(APIKey(id=new.id, hash=new.hash, subject="bot"))


async def test_a_failing_lookup_lets_nobody_in() -> None:
    """When the table cannot be read, the error goes on: it is never access."""

    async def lookup(_: str) -> APIKey | None:
        raise ConnectionError("database is away")

    with pytest.raises(ConnectionError):
        await APIKeyVerifier(lookup).verify(generate_api_key().key)


@pytest.mark.parametrize("change", [" {}", "{} ", "{}\n", "{}x", "{0}{0}", "{}\x00"])
async def test_a_key_with_anything_around_it_is_malformed(change: str) -> None:
    """The whole header is the key."""
    store, new = Store(), generate_api_key()
    store.add(new)
    assert await refusal(store, change.format(new.key)) is Reason.MALFORMED
    assert store.asked == []


@settings(deadline=None, max_examples=100)
@given(text=st.text(max_size=80) | st.from_regex(r"[a-z]{1,4}_[0-9a-g]{15,17}_[\w-]{42,44}"))
async def test_malformed_keys_do_not_reach_the_store(text: str) -> None:
    """What is not of the shape of a key is refused without a query."""
    store = Store()
    reason = await refusal(store, text)
    assert (reason is Reason.MALFORMED) == (not store.asked)
    assert all(re.fullmatch("[0-9a-f]{16}", key_id) for key_id in store.asked)
