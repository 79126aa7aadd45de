"""Who is calling and what they may do: JWT access tokens, API keys, and guards for endpoints. It fails closed.

Importing it is cheap: `joserfc` and `httpx2` (the `auth` extra) are imported when the first key is loaded, API keys when they
are asked for.
"""

from typing import TYPE_CHECKING

from fastness.auth.authenticator import Authenticator
from fastness.auth.guards import CurrentPrincipal, Requires
from fastness.auth.jwks import JWKS
from fastness.auth.jwt import JWTVerifier
from fastness.auth.keys import KeySource, StaticKeys
from fastness.auth.principal import Method, Principal, Reason, Refused, Unavailable, Verifier

if TYPE_CHECKING:
    from fastness.auth.api_keys import APIKey, APIKeyVerifier, NewAPIKey, generate_api_key

__all__ = [
    "JWKS",
    "APIKey",
    "APIKeyVerifier",
    "Authenticator",
    "CurrentPrincipal",
    "JWTVerifier",
    "KeySource",
    "Method",
    "NewAPIKey",
    "Principal",
    "Reason",
    "Refused",
    "Requires",
    "StaticKeys",
    "Unavailable",
    "Verifier",
    "generate_api_key",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in __all__:
            from fastness.auth import api_keys

            return getattr(api_keys, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
