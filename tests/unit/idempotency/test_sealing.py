"""Answers that are stored encrypted: what comes back, for whom, and with which keys."""

import sys

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from fastness.idempotency import Sealer
from fastness.idempotency.answer import Answer
from fastness.idempotency.sealing import SealError, is_sealed

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
OWNER = bytes(range(64))
ANSWER = Answer(201, (("location", "/hooks/1"),), b'{"secret":"whsec_x"}')


@given(
    st.integers(100, 599),
    st.lists(st.tuples(st.from_regex(r"[a-z-]+", fullmatch=True), st.text(max_size=20))),
    st.binary(max_size=200),
)
def test_what_is_sealed_comes_back(status, headers, body):
    """Every answer does, and nothing of it but the status is to be seen in between."""
    answer = Answer(status, tuple(headers), body)
    sealed = Sealer([NEW]).seal(answer, owner=OWNER)
    assert is_sealed(sealed)
    assert not is_sealed(answer)
    assert sealed.status == status
    assert len(body) < 8 or body not in sealed.encode()
    assert Sealer([NEW]).open(Answer.decode(sealed.encode()), owner=OWNER) == answer


def test_an_answer_belongs_to_one_request():
    """Whoever can write to the store cannot give it to another."""
    sealed = Sealer([NEW]).seal(ANSWER, owner=OWNER)
    with pytest.raises(SealError, match="another request"):
        Sealer([NEW]).open(sealed, owner=bytes(64))


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_answer_does_not_open(position, change):
    """Wherever it was changed."""
    sealed = Sealer([NEW]).seal(ANSWER, owner=OWNER)
    body = bytearray(sealed.body)
    body[position % len(body)] ^= change
    with pytest.raises(SealError):
        Sealer([NEW]).open(Answer(201, sealed.headers, bytes(body)), owner=OWNER)


def test_a_key_is_replaced_by_putting_a_new_one_in_front():
    """The first key seals, all of them open, and a key that is gone opens nothing."""
    old, both, new = Sealer([OLD]), Sealer([NEW, OLD]), Sealer([NEW])
    assert both.open(old.seal(ANSWER, owner=OWNER), owner=OWNER) == ANSWER
    assert new.open(both.seal(ANSWER, owner=OWNER), owner=OWNER) == ANSWER
    with pytest.raises(SealError, match="none of the keys"):
        old.open(new.seal(ANSWER, owner=OWNER), owner=OWNER)


def test_what_was_never_sealed_is_not_opened():
    """A plain answer may be anybody's."""
    with pytest.raises(SealError, match="not sealed"):
        Sealer([NEW]).open(ANSWER, owner=OWNER)


@pytest.mark.parametrize("keys", [[], ["hunter2"], [NEW, "hunter2"], "hunter2", [""]])
def test_keys_that_are_none_are_refused_without_quoting_them(keys):
    """At the start, and with the way to make one."""
    with pytest.raises(ValueError, match="key") as caught:
        Sealer(keys)
    assert "hunter2" not in str(caught.value)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    """Whoever has not installed `cryptography` is told how."""
    monkeypatch.setitem(sys.modules, "cryptography.fernet", None)
    with pytest.raises(ImportError, match=r"fastness\[seal\]"):
        Sealer([NEW])
