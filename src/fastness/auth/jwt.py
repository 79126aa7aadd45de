"""JWT access tokens: which are accepted, and the principal each proves (RFC 7519, 8725, 9068).

Where keys come from is `keys` and `jwks`; how a token reaches us is `authenticator`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fastness.auth.keys import KeySource, StaticKeys
from fastness.auth.principal import Principal, Reason, Refused

if TYPE_CHECKING:
    from fastness.auth._jose import Signatures

_SYMMETRIC = frozenset({"HS256", "HS384", "HS512"})
_ASYMMETRIC = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519", "EdDSA"})

_MAX_NAME = 255  # OpenID Connect Core, section 2, on `sub`
_MAX_SCOPES = 200


class JWTVerifier:
    """Accepts the access tokens of one issuer that are meant for this service.

    Nothing in a token chooses how it is verified: algorithms and keys are given here, and `jwk`, `jku`, `x5c` and `x5u`
    headers are not looked at. `exp`, `iss`, `aud` and `sub` are required; `nbf` and `iat` are checked where present.

    Args:
        issuer: the exact `iss` claim.
        audience: what `aud` must contain: this service's identifier, or several of which one suffices.
        keys: `JWKS` or `StaticKeys`.
        algorithms: the JWS algorithms that the issuer signs with. Shared secrets (`HS256`) do not mix with the others.
        leeway: seconds by which clocks may differ, 0 to 300.
        types: accepted `typ` headers, without `application/` and in any case. RFC 9068 wants `at+jwt`, which keeps ID tokens
            out; an issuer that does not follow it needs `("at+jwt", "JWT")`, or `""` for one that sends no `typ`.
        scope_claim: the claim with the scopes, as a space-separated string or a list.
        tenant_claim: the claim with the tenant, or None when there are no tenants.
        max_size: bytes of the longest token looked at.
        clock: seconds since the epoch.

    Raises:
        ValueError: an argument would accept tokens that must not be, or none at all.
    """

    def __init__(
        self,
        *,
        issuer: str,
        audience: str | Collection[str],
        keys: KeySource,
        algorithms: Collection[str] = ("RS256", "ES256"),
        leeway: int = 30,
        types: Collection[str] = ("at+jwt",),
        scope_claim: str = "scope",
        tenant_claim: str | None = "tenant",
        max_size: int = 8192,
        clock: Callable[[], float] = time.time,
    ) -> None:
        audiences = frozenset((audience,) if isinstance(audience, str) else audience)
        if not issuer or not audiences or not all(audiences):
            raise ValueError(f"JWTVerifier needs an issuer and an audience: got issuer={issuer!r}, audience={audience!r}")
        if not 0 <= leeway <= 300:
            raise ValueError(f"leeway: {leeway!r} is not within 0 to 300 seconds")
        if max_size < 256:
            raise ValueError(f"max_size: {max_size!r} bytes hold no token; give at least 256")
        if isinstance(types, str) or not types:
            raise ValueError(f"types: {types!r} is not a list of typ headers such as ('at+jwt',)")
        self._issuer = issuer
        self._audiences = audiences
        self._keys = keys
        self._algorithms = _algorithms(algorithms)
        if isinstance(keys, StaticKeys) and not keys.serves(self._algorithms):
            raise ValueError(f"keys: none of them can verify any of {sorted(self._algorithms)}")
        self._leeway = leeway
        self._types = frozenset(_media_type(name) for name in types)
        self._scope_claim = scope_claim
        self._tenant_claim = tenant_claim
        self._max_size = max_size
        self._clock = clock

    async def verify(self, token: str) -> Principal:
        """The principal of `token`; raises `Refused`, or `Unavailable` when there are no keys to verify it with."""
        if len(token) > self._max_size:
            raise Refused(Reason.OVERSIZED)
        parsed = self._signatures.parse(token)
        if parsed is None:
            raise Refused(Reason.MALFORMED)
        algorithm, kid = self._header(parsed.protected or {})
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise Refused(Reason.UNKNOWN_KEY)
        if not self._signatures.verify(parsed, key):
            raise Refused(Reason.SIGNATURE)
        return self._principal(_claims(parsed.payload))

    @cached_property
    def _signatures(self) -> Signatures:
        from fastness.auth._jose import Signatures

        return Signatures(self._algorithms, max_size=self._max_size)

    def _header(self, header: Mapping[str, Any]) -> tuple[str, str | None]:
        """The algorithm and key id, once the header has nothing that we would have to understand and do not."""
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise Refused(Reason.ALGORITHM)
        # RFC 7515, section 4.1.11: extensions that must be understood, of which we understand none.
        if "crit" in header:
            raise Refused(Reason.CRITICAL)
        typ = header.get("typ", "")
        if not isinstance(typ, str) or _media_type(typ) not in self._types:
            raise Refused(Reason.TYPE)
        kid = header.get("kid")
        if kid is not None and (not isinstance(kid, str) or len(kid) > _MAX_NAME):
            raise Refused(Reason.UNKNOWN_KEY)
        return algorithm, kid

    def _principal(self, claims: Mapping[str, Any]) -> Principal:
        if claims.get("iss") != self._issuer:
            raise Refused(Reason.ISSUER)
        audience = claims.get("aud")
        offered = [audience] if isinstance(audience, str) else audience
        if not isinstance(offered, list) or not any(isinstance(name, str) and name in self._audiences for name in offered):
            raise Refused(Reason.AUDIENCE)
        self._check_times(claims)
        tenant = None if self._tenant_claim is None else claims.get(self._tenant_claim)
        return Principal(
            subject=_name(claims.get("sub")),
            tenant=None if tenant is None else _name(tenant),
            scopes=_scopes(claims.get(self._scope_claim)),
            method="jwt",
            claims=MappingProxyType(claims),
        )

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self._clock()
        expires = _moment(claims.get("exp"))
        if expires <= now - self._leeway:
            raise Refused(Reason.EXPIRED)
        if "nbf" in claims and _moment(claims["nbf"]) > now + self._leeway:
            raise Refused(Reason.NOT_YET_VALID)
        if "iat" in claims:
            issued = _moment(claims["iat"])
            if issued > now + self._leeway:
                raise Refused(Reason.NOT_YET_VALID)
            if issued > expires:
                raise Refused(Reason.CLAIMS)


def _algorithms(names: Collection[str]) -> frozenset[str]:
    algorithms = frozenset(() if isinstance(names, str) else names)
    if unknown := algorithms - _ASYMMETRIC - _SYMMETRIC:
        raise ValueError(f"algorithms: {min(unknown)!r} is not a signature algorithm that can be trusted")
    if not algorithms:
        raise ValueError(f"algorithms: {names!r} is not a list of names such as ('RS256',)")
    if algorithms & _SYMMETRIC and algorithms & _ASYMMETRIC:
        # A public key, taken for a shared secret, would let everyone sign (RFC 8725, section 2.1).
        raise ValueError(f"algorithms: {sorted(algorithms)} mixes shared secrets and public keys; use two verifiers")
    return algorithms


def _media_type(typ: str) -> str:
    # RFC 7515, section 4.1.9: "application/" may be left out; RFC 2045: media types have no case.
    return typ.lower().removeprefix("application/")


def _claims(payload: bytes) -> dict[str, Any]:
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError):
        raise Refused(Reason.CLAIMS) from None
    if not isinstance(claims, dict):
        raise Refused(Reason.CLAIMS)
    return claims


def _moment(value: Any) -> float:
    """A NumericDate (RFC 7519, section 2). NaN, which Python's JSON reads, would never expire."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refused(Reason.CLAIMS)
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused(Reason.CLAIMS)
    return value


def _name(value: Any) -> str:
    """An identifier that is fit for logs, headers and keys: no control characters, no lone surrogates."""
    if not isinstance(value, str) or not 0 < len(value) <= _MAX_NAME or not value.isprintable():
        raise Refused(Reason.CLAIMS)
    return value


def _scopes(value: Any) -> frozenset[str]:
    if value is None:
        return frozenset()
    names = value.split() if isinstance(value, str) else value
    if not isinstance(names, list) or len(names) > _MAX_SCOPES:
        raise Refused(Reason.CLAIMS)
    return frozenset(_name(name) for name in names)
