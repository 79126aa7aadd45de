"""Who is calling and what they may do: JWT access tokens, API keys, and guards for endpoints. It fails closed.

Importing it is cheap: `joserfc` and `httpx2` (the `auth` extra) are imported when the first key is loaded.
"""

from fastness.auth.api_keys import APIKey, APIKeyVerifier, NewAPIKey, generate_api_key
from fastness.auth.authenticator import Authenticator
from fastness.auth.guards import CurrentPrincipal, Requires
from fastness.auth.jwks import JWKS
from fastness.auth.jwt import JWTVerifier
from fastness.auth.keys import KeySource, StaticKeys
from fastness.auth.principal import Method, Principal, Reason, Refused, Unavailable, Verifier

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
