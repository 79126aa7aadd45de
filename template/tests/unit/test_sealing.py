"""Secrets at rest."""

import pytest
from cryptography.fernet import Fernet, InvalidToken

from app.infra.db.sealing import Sealer


def key() -> str:
    return Fernet.generate_key().decode()


def test_what_is_sealed_is_unreadable_and_comes_back() -> None:
    """Only with the key."""
    sealer = Sealer(key())
    sealed = sealer.seal("whsec_x")
    assert "whsec" not in sealed
    assert sealer.unseal(sealed) == "whsec_x"
    with pytest.raises(InvalidToken):
        Sealer(key()).unseal(sealed)


def test_a_key_is_replaced_by_putting_a_new_one_first() -> None:
    """Old secrets stay readable, new ones are sealed with the new key."""
    old, new = key(), key()
    both = Sealer(f"{new}, {old}")
    assert both.unseal(Sealer(old).seal("a")) == "a"
    assert Sealer(new).unseal(both.seal("b")) == "b"


def test_a_malformed_key_is_refused_without_quoting_it() -> None:
    """The message says how to make one."""
    with pytest.raises(ValueError, match="generate_key") as caught:
        Sealer("hunter2")
    assert "hunter2" not in str(caught.value)
