"""Signatures, held against the public verifier of the specification."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from app.domain.signing import headers, new_secret

secrets = st.binary(min_size=24, max_size=64).map(lambda key: "whsec_" + base64.b64encode(key).decode())
bodies = st.text(st.characters(codec="utf-8")).map(str.encode)
ids = st.text("abcdefghijklmnopqrstuvwxyz0123456789_", min_size=1)


@given(secrets, ids, bodies)
def test_the_public_verifier_accepts_what_is_signed(secret: str, message_id: str, body: bytes) -> None:
    """Any secret of the specified length, any body."""
    signed = headers(message_id=message_id, sent_at=datetime.now(UTC), body=body, secrets=[secret])
    Webhook(secret).verify(body, signed, json_parse=False)


@given(secrets, bodies, bodies)
def test_another_body_is_not_accepted(secret: str, body: bytes, other: bytes) -> None:
    """The signature is of this body alone."""
    signed = headers(message_id="evt_1", sent_at=datetime.now(UTC), body=body, secrets=[secret])
    if body != other:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(other, signed, json_parse=False)


def test_while_a_secret_is_replaced_both_verify() -> None:
    """Two secrets give two signatures, and either receiver is content."""
    old, new = new_secret(), new_secret()
    signed = headers(message_id="evt_1", sent_at=datetime.now(UTC), body=b"{}", secrets=[new, old])
    assert len(signed["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(b"{}", signed)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(b"{}", signed)


def test_the_time_of_the_attempt_is_signed() -> None:
    """A replay is too old for the verifier, and cannot be made younger."""
    secret = new_secret()
    signed = headers(message_id="evt_1", sent_at=datetime.now(UTC) - timedelta(minutes=10), body=b"{}", secrets=[secret])
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(secret).verify(b"{}", signed)
    signed["webhook-timestamp"] = str(int(datetime.now(UTC).timestamp()))
    with pytest.raises(WebhookVerificationError, match="No matching"):
        Webhook(secret).verify(b"{}", signed)


def test_a_message_id_with_a_full_stop_is_refused() -> None:
    """It would let one part of what is signed pass for another."""
    with pytest.raises(ValueError, match="full stop"):
        headers(message_id="a.b", sent_at=datetime.now(UTC), body=b"", secrets=[])


def test_a_malformed_secret_is_refused_without_quoting_it() -> None:
    """The text of an error may reach a log."""
    with pytest.raises(ValueError) as caught:
        headers(message_id="evt_1", sent_at=datetime.now(UTC), body=b"", secrets=["whsec_hunter2!"])
    assert "hunter2" not in str(caught.value)


def test_secrets_are_long_and_differ() -> None:
    """The specification asks for 24 to 64 bytes."""
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert all(secret.startswith("whsec_") and len(base64.b64decode(secret[6:])) == 32 for secret in made)
