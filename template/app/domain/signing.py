"""Signatures of deliveries, as the Standard Webhooks specification has them (symmetric, `v1`).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

PREFIX = "whsec_"
_SECRET_BYTES = 32  # the specification asks for 24 to 64


def new_secret() -> str:
    """A random signing secret in its serialised form: `whsec_` and base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode("ascii")


def headers(*, message_id: str, sent_at: datetime, body: bytes, secrets: Sequence[str]) -> dict[str, str]:
    """The `webhook-*` headers of one attempt.

    Args:
        message_id: the same for every attempt of a message, so that receivers can tell repetitions.
        sent_at: time of this attempt; receivers refuse old ones.
        body: the very bytes that are sent.
        secrets: every secret that is valid now; while one is being replaced there are two, and two signatures.

    Raises:
        ValueError: `message_id` contains a full stop, which separates the signed parts, or a secret is malformed.
    """
    if "." in message_id:
        raise ValueError(f"message id {message_id!r} contains a full stop")
    timestamp = str(int(sent_at.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: str, signed: bytes) -> str:
    digest = hmac.new(_key(secret), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode("ascii")


def _key(secret: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        # Never quote it: this text may reach a log.
        raise ValueError("a signing secret is not base64") from None
