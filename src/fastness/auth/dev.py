"""Development tokens from a key on this machine, so that a guarded endpoint can be called at once. Never in production."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastness.auth.jwt import JWTVerifier
from fastness.auth.keys import StaticKeys

if TYPE_CHECKING:
    from joserfc.jwk import OKPKey

ISSUER = "urn:fastness:development"

_ALGORITHM = "Ed25519"
_FILE = "signing-key.json"
_MAX_LIFETIME = 30 * 86_400


class DevIssuer:
    """Issues tokens with a local key, and gives the verifier that trusts them.

    The key is made at the first use, in a file that only its owner can read. All processes that are given the same directory
    share it: the server verifies what the command line issues.

    Args:
        directory: where the key lives; it is made when missing. Keep it out of version control.
        environment: the service's environment. Only `development` and `test` get past.
        audience: the service's identifier, which goes into `aud`.
        clock: seconds since the epoch.

    Raises:
        ValueError: the environment is another one.
    """

    def __init__(
        self, directory: str | Path, *, environment: str, audience: str, clock: Callable[[], float] = time.time
    ) -> None:
        if environment not in ("development", "test"):
            raise ValueError(f"development tokens are refused in environment {environment!r}: use the issuer's JWKS instead")
        self._directory = Path(directory)
        self._audience = audience
        self._clock = clock

    def issue_token(
        self, *, subject: str = "developer", tenant: str | None = None, scopes: Iterable[str] = (), lifetime: int = 3600
    ) -> str:
        """An access token (RFC 9068) with a `tenant` claim.

        Args:
            subject: `sub`.
            tenant: the customer to act for, or None.
            scopes: what the token allows.
            lifetime: seconds, 1 to 30 days.

        Raises:
            ValueError: the lifetime is out of bounds, or the key file cannot be trusted.
        """
        from fastness.auth import _jose

        if not 0 < lifetime <= _MAX_LIFETIME:
            raise ValueError(f"lifetime: {lifetime!r} is not within 1 to {_MAX_LIFETIME} seconds")
        now = int(self._clock())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": self._audience,
            "sub": subject,
            "client_id": "fastness-dev",
            "iat": now,
            "exp": now + lifetime,
            "jti": secrets.token_hex(16),
            "scope": " ".join(scopes),
        }
        if tenant is not None:
            claims["tenant"] = tenant
        return _jose.sign(claims, self._key, algorithm=_ALGORITHM, typ="at+jwt")

    def keys(self) -> StaticKeys:
        """The public half of the key."""
        return StaticKeys({"keys": [self._key.as_dict(private=False)]})

    def verifier(self) -> JWTVerifier:
        """Accepts what `issue_token` issues, and nothing else."""
        return JWTVerifier(
            issuer=ISSUER, audience=self._audience, keys=self.keys(), algorithms=(_ALGORITHM,), clock=self._clock
        )

    @cached_property
    def _key(self) -> OKPKey:
        from fastness.auth import _jose

        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / _FILE
        if not path.exists():
            _create(path, _jose.signing_key_text())
        try:
            return _jose.load_signing_key(_read(path))
        except ValueError as error:
            raise ValueError(f"{path}: {error}; delete it to get a new key") from None


def _create(path: Path, text: str) -> None:
    """Write a file that appears whole and only once: of two processes that start together, both end up with the same key."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _read(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        raise ValueError(error.strerror or "cannot be read") from error
    with os.fdopen(descriptor, encoding="utf-8") as file:
        status = os.fstat(descriptor)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o077:
            raise ValueError("others can read it, or it is another user's")
        return file.read()
