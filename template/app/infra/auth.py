"""Whose access tokens are accepted: those of the issuer, or those of the local key for development."""

from functools import cached_property

from fastness.auth import JWKS, Authenticator, JWTVerifier, Principal
from fastness.auth.dev import ISSUER, DevIssuer

from app.core.config import Settings


def make_keys(settings: Settings) -> JWKS | None:
    """The issuer's keys, a resource; None for the local key."""
    return None if settings.auth_issuer == ISSUER else JWKS(issuer=settings.auth_issuer)


def make_authenticator(settings: Settings, keys: JWKS | None) -> Authenticator:
    """What guards ask.

    Raises:
        ValueError: the settings would accept tokens that must not be, or none at all.
    """
    if keys is None:
        return Authenticator(jwt=_DevelopmentTokens(settings), realm=settings.service_name)
    verifier = JWTVerifier(
        issuer=settings.auth_issuer,
        audience=settings.auth_audience,
        keys=keys,
        algorithms=settings.auth_algorithms,
    )
    return Authenticator(jwt=verifier, realm=settings.service_name)


class _DevelopmentTokens:
    """Accepts tokens of the local key, which is read, or made, when the first one comes. `DevIssuer` refuses production."""

    def __init__(self, settings: Settings) -> None:
        self._issuer = DevIssuer(settings.dev_key_directory, environment=settings.environment, audience=settings.auth_audience)

    async def verify(self, credential: str, /) -> Principal:
        """The principal that a development token proves."""
        return await self._verifier.verify(credential)

    @cached_property
    def _verifier(self) -> JWTVerifier:
        return self._issuer.verifier()
