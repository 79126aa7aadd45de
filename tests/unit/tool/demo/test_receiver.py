"""The demo's verification of deliveries: it accepts what the specification says and nothing else."""

import base64
import hashlib
import hmac
import os

import pytest

from fastness.tool.demo.receiver import TOLERANCE, UntrustedError, verify

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
BODY = b'{"type":"order.paid","data":{"order":1}}'
NOW = 1_700_000_000


def sign(key: bytes = KEY, *, message: str = "msg_1", timestamp: str = str(NOW), body: bytes = BODY) -> dict[str, str]:
    digest = hmac.digest(key, f"{message}.{timestamp}.".encode() + body, hashlib.sha256)
    signature = "v1," + base64.b64encode(digest).decode()
    return {"webhook-id": message, "webhook-timestamp": timestamp, "webhook-signature": signature}


def test_example_of_the_specification() -> None:
    """The example that the public libraries test themselves with verifies."""
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    verify(secret="whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", headers=headers, body=b'{"test": 2432232314}', now=1614265330)


def test_signed_delivery_verifies() -> None:
    """A delivery signed with the secret is accepted."""
    verify(secret=SECRET, headers=sign(), body=BODY, now=NOW)


def test_one_of_several_signatures_suffices() -> None:
    """While a secret is replaced there are two signatures; either will do, and other schemes are passed over."""
    headers = sign()
    headers["webhook-signature"] = f"v1a,xyz v1,{base64.b64encode(bytes(32)).decode()} {headers['webhook-signature']}"
    verify(secret=SECRET, headers=headers, body=BODY, now=NOW)


@pytest.mark.parametrize("now", [NOW - TOLERANCE, NOW + TOLERANCE])
def test_clocks_may_differ_by_the_tolerance(now: int) -> None:
    """A timestamp at the edge of the tolerance is accepted."""
    verify(secret=SECRET, headers=sign(), body=BODY, now=now)


@pytest.mark.parametrize(
    ("headers", "body", "now", "secret"),
    [
        (sign(), BODY + b" ", NOW, SECRET),
        (sign(os.urandom(32)), BODY, NOW, SECRET),
        (sign() | {"webhook-id": "msg_2"}, BODY, NOW, SECRET),
        (sign() | {"webhook-timestamp": str(NOW + 1)}, BODY, NOW, SECRET),
        (sign(), BODY, NOW + TOLERANCE + 1, SECRET),
        (sign(), BODY, NOW - TOLERANCE - 1, SECRET),
        (sign(timestamp="-1"), BODY, NOW, SECRET),
        (sign() | {"webhook-timestamp": "now"}, BODY, NOW, SECRET),
        (sign() | {"webhook-signature": ""}, BODY, NOW, SECRET),
        (sign() | {"webhook-signature": "v1,é"}, BODY, NOW, SECRET),
        (sign() | {"webhook-signature": sign()["webhook-signature"].replace("v1,", "v2,")}, BODY, NOW, SECRET),
        (sign(b""), BODY, NOW, ""),
        (sign(b""), BODY, NOW, "whsec_"),
    ],
)
def test_everything_else_is_refused(headers: dict[str, str], body: bytes, now: int, secret: str) -> None:
    """A changed body, another key, another id or time, replay, another scheme, and no secret at all are refused."""
    with pytest.raises(UntrustedError):
        verify(secret=secret, headers=headers, body=body, now=now)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_missing_header_is_refused(missing: str) -> None:
    """Each of the three headers is needed."""
    headers = sign()
    del headers[missing]
    with pytest.raises(UntrustedError, match=missing):
        verify(secret=SECRET, headers=headers, body=BODY, now=NOW)
