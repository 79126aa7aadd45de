"""Answers that are stored encrypted, because they hold what only their client may know. Whose answer it is, others decide."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastness.idempotency.answer import Answer

# In the place of headers, and no header's name.
_MARK = ((":sealed", "fernet"),)


class SealError(Exception):
    """A stored answer cannot be opened: none of the keys is its own, it belongs to another request, or it was changed."""


class Sealer:
    """Seals stored answers with Fernet (AES-128-CBC, HMAC-SHA256; https://github.com/fernet/spec).

    A copy of the store, or of the database, then shows no answer, and whoever can write there can neither make one nor give
    one request another's.

    Args:
        keys: 32 random bytes in base64url each (`Fernet.generate_key()`). The first seals, every one of them opens: a key is
            replaced by putting a new one in front, and the old one goes when what it sealed has expired. In a rolling
            update, all processes must know the new key before one of them has it in front.

    Raises:
        ImportError: `cryptography` is not installed; `fastness[seal]` brings it.
        ValueError: there is no key, or one is malformed; the text does not quote it.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        try:
            from cryptography.fernet import Fernet, InvalidToken, MultiFernet
        except ImportError as error:
            raise ImportError("Sealer needs `pip install fastness[seal]`") from error
        try:
            fernets = [Fernet(key) for key in ([keys] if isinstance(keys, str) else keys)]
        except ValueError:
            raise ValueError(
                "Sealer: a key is not 32 bytes in base64url; make one with "
                "`python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'`"
            ) from None
        if not fernets:
            raise ValueError("Sealer: there is no key to seal with")
        self._fernet: Any = MultiFernet(fernets)
        self._invalid = InvalidToken

    def seal(self, answer: Answer, *, owner: bytes) -> Answer:
        """What is stored of `answer`; only its status is left to be read. It can be opened for the same `owner` alone."""
        return Answer(answer.status, _MARK, self._fernet.encrypt(owner + answer.encode()))

    def open(self, sealed: Answer, *, owner: bytes) -> Answer:
        """The answer that was sealed.

        Raises:
            SealError: it cannot be opened, or was never sealed.
        """
        if not is_sealed(sealed):
            raise SealError("it is not sealed")
        try:
            opened: bytes = self._fernet.decrypt(sealed.body)
        except self._invalid:
            raise SealError("none of the keys opens it") from None
        if not opened.startswith(owner):
            raise SealError("it is the answer to another request")
        return Answer.decode(opened[len(owner) :])


def is_sealed(answer: Answer) -> bool:
    """Whether it is to be opened before it is sent."""
    return answer.headers == _MARK
