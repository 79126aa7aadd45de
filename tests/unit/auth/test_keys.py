"""Key sets: which keys are let in, and which are left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc.jwk import OctKey, RSAKey

from fastness.auth import StaticKeys
from fastness.auth._jose import KeyTable


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": []}, {"keys": [5]}, {"keys": [{}] * 101}])
def test_refuses_what_is_no_key_set(document: Any) -> None:
    """A document of another shape, an empty set and a huge one raise ValueError."""
    with pytest.raises(ValueError):
        StaticKeys(document)


def test_a_set_may_have_a_hundred_keys(issuer: Any) -> None:
    """Whether or not they can be used."""
    assert len(KeyTable({"keys": [*[{}] * 99, issuer.ec.as_dict(private=False)]}, symmetric=False)) == 1


def test_a_fetched_set_has_no_shared_secrets(issuer: Any) -> None:
    """A secret that was published is no secret: with it, everyone could sign."""
    secret = OctKey.generate_key(256, {"kid": "s"}).as_dict()
    table = KeyTable({"keys": [secret, *issuer.jwks()["keys"]]}, symmetric=False)
    assert table.find("s", "HS256") is None
    assert table.find("rsa", "RS256") is not None
    assert table.skipped == ["keys[0]: a shared secret has no place in a published key set"]


def test_keys_of_unknown_kinds_do_not_take_the_others_away(issuer: Any) -> None:
    """A set may hold keys for encryption, of kinds to come, broken or weak ones: they are left out (RFC 7517, section 5)."""
    good = issuer.rsa.as_dict(private=False)
    bad: list[Any] = [
        {"kty": "AKP", "kid": "x"},
        good | {"use": "enc"},
        good | {"key_ops": ["encrypt"]},
        good | {"n": "AQAB"},
        good | {"n": "%%"},
        good | {"kid": 5},
        {"kty": "RSA"},
        {"kty": ["RSA"]},
        {"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"},
        issuer.ec.as_dict(private=True),
        "key",
        None,
    ]
    table = KeyTable({"keys": [*bad, good]}, symmetric=False)
    assert len(table) == 1
    assert len(table.skipped) == len(bad)
    assert issuer.ec.as_dict(private=True)["d"] not in str(table.skipped)


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_weak_rsa_keys_are_left_out() -> None:
    """An RSA key of less than 2048 bits can be broken (NIST SP 800-131A)."""
    weak = RSAKey.import_key(rsa.generate_private_key(public_exponent=65537, key_size=1024), {"kid": "weak"})
    with pytest.raises(ValueError, match="less than 2048 bits"):
        KeyTable({"keys": [weak.as_dict(private=False)]}, symmetric=False)


def test_two_keys_with_one_id_are_told_apart_by_algorithm(issuer: Any) -> None:
    """RFC 7517 (4.5) allows one kid for keys of different types; two of the same type are ambiguous, and neither is used."""
    rsa, ec = issuer.rsa.as_dict(private=False), issuer.ec.as_dict(private=False) | {"kid": "rsa"}
    table = KeyTable({"keys": [rsa, ec]}, symmetric=False)
    assert table.find("rsa", "RS256").key_type == "RSA"  # type: ignore[union-attr]
    assert table.find("rsa", "ES256").key_type == "EC"  # type: ignore[union-attr]
    doubled = KeyTable({"keys": [rsa, issuer.stranger.as_dict(private=False)]}, symmetric=False)
    assert doubled.find("rsa", "RS256") is None


@pytest.mark.parametrize("secret", ["", "c2hvcnQ", "A" * 42])
def test_short_secrets_are_refused(secret: str) -> None:
    """A shared secret has at least 32 bytes (RFC 7518, section 3.2)."""
    with pytest.raises(ValueError, match="32 bytes"):
        StaticKeys({"keys": [{"kty": "oct", "kid": "s", "k": secret}]})


def test_a_static_set_is_used_whole_or_not_at_all(issuer: Any) -> None:
    """What the operator wrote down must be right: a key that cannot be used is an error, and is named by position."""
    document = issuer.jwks()
    document["keys"].append(issuer.ed.as_dict(private=True))
    with pytest.raises(ValueError, match=r"keys\[3\]: a private key"):
        StaticKeys(document)


def test_reads_a_key_set_from_a_file(issuer: Any, tmp_path: Path) -> None:
    """A file is a key set, or the error names it."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(issuer.jwks()))
    assert StaticKeys.from_file(path).serves(["ES256"])
    path.write_text("{")
    with pytest.raises(ValueError, match=r"jwks\.json"):
        StaticKeys.from_file(path)
    with pytest.raises(FileNotFoundError):
        StaticKeys.from_file(tmp_path / "missing.json")
