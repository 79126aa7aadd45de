"""The one door to `joserfc`: key sets, and signatures of compact JWS (RFC 7515, 7517). What claims mean is decided elsewhere.

Importing `joserfc` costs more than everything else here together, so this module is imported when the first key is loaded.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, JWKRegistry, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import CompactSignature, JWSRegistry, extract_compact, serialize_compact, validate_compact
from joserfc.util import base64_to_int, urlsafe_b64decode

__all__ = ["Key", "KeyTable", "Signatures", "load_signing_key", "sign", "signing_key_text"]

# What a parser may raise on hostile text; `JoseError` is joserfc's own, the rest comes from base64, JSON and cryptography.
_PARSE_ERRORS = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError, SecurityWarning)

_MAX_KEYS = 100
_MIN_RSA_BITS = 2048  # NIST SP 800-131A
_MIN_SECRET_BYTES = 32  # RFC 7518, section 3.2: at least the size of the hash


class KeyTable:
    """An immutable set of verification keys.

    Args:
        document: a JWK Set (RFC 7517, section 5).
        symmetric: whether shared secrets are let in. A published set must never hold one: with it, everyone can sign.

    Attributes:
        ids: key id, or "" where the set gives none, of each key by its thumbprint (RFC 7638).
        skipped: why each key that was left out was left out; never key material.

    Raises:
        ValueError: this is not a JWK Set, or none of its keys can be used.
    """

    def __init__(self, document: Any, *, symmetric: bool) -> None:
        entries = document.get("keys") if isinstance(document, Mapping) else None
        if not isinstance(entries, list) or len(entries) > _MAX_KEYS:
            raise ValueError(f"not a JWK Set: expected an object with a list of at most {_MAX_KEYS} 'keys'")
        self.ids: dict[str, str] = {}
        self.skipped: list[str] = []
        self._by_id: defaultdict[str, list[Key]] = defaultdict(list)
        self._keys: list[Key] = []
        for position, entry in enumerate(entries):
            try:
                key = _import(entry, symmetric=symmetric)
            except _PARSE_ERRORS as error:
                # One key of a kind that we do not know must not take the others away (RFC 7517, section 5).
                self.skipped.append(f"keys[{position}]: {_reason(error)}")
                continue
            self._keys.append(key)
            self.ids[key.thumbprint()] = key.kid or ""
            if key.kid is not None:
                self._by_id[key.kid].append(key)
        if not self._keys:
            raise ValueError(f"no usable key in the set: {'; '.join(self.skipped) or 'it is empty'}")

    def __len__(self) -> int:
        return len(self._keys)

    def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key for a token: by its id or, where the token names none, the only one that fits the algorithm."""
        model = JWSRegistry.algorithms[algorithm]
        fitting = [key for key in (self._keys if kid is None else self._by_id.get(kid, ())) if _fits(key, model)]
        return fitting[0] if len(fitting) == 1 else None

    def serves(self, algorithms: Iterable[str]) -> bool:
        """Whether some key can verify one of `algorithms`."""
        return any(_fits(key, JWSRegistry.algorithms[name]) for name in algorithms for key in self._keys)


def _reason(error: BaseException) -> str:
    # The text of other errors may quote the key.
    return str(error) if type(error) is _UnusableKeyError else type(error).__name__


class _UnusableKeyError(ValueError):
    """A key that is well formed and must not be used."""


def _import(entry: Any, *, symmetric: bool) -> Key:
    kind = entry["kty"]
    if entry.get("use") not in (None, "sig") or "verify" not in entry.get("key_ops", ("verify",)):
        raise _UnusableKeyError("not meant for verifying signatures")
    if kind == "oct":
        if not symmetric:
            raise _UnusableKeyError("a shared secret has no place in a published key set")
        if len(urlsafe_b64decode(entry["k"].encode("ascii"))) < _MIN_SECRET_BYTES:
            raise _UnusableKeyError(f"shared secret of less than {_MIN_SECRET_BYTES} bytes")
    elif "d" in entry:
        raise _UnusableKeyError("a private key; publish its public half")
    if kind == "RSA" and base64_to_int(entry["n"]).bit_length() < _MIN_RSA_BITS:
        raise _UnusableKeyError(f"RSA key of less than {_MIN_RSA_BITS} bits")
    return JWKRegistry.import_key(entry)


def _fits(key: Key, model: Any) -> bool:
    try:
        model.check_key(key)
    except JoseError:
        return False
    return True


class _AllowList(JWSRegistry):
    """Exactly the given algorithms: joserfc's own registry falls back to a default list, and warns on every use of EdDSA."""

    def __init__(self, algorithms: Collection[str], max_size: int) -> None:
        # Unknown header parameters are to be ignored (RFC 7515, section 4); critical ones are refused by the verifier.
        super().__init__(algorithms=algorithms, strict_check_header=False)
        self._models = {name: self.algorithms[name] for name in algorithms}
        self.max_header_length = self.max_payload_length = max_size

    def get_alg(self, name: str) -> Any:
        return self._models[name]  # a KeyError refuses the token as joserfc's own errors do


class Signatures:
    """Takes compact JWS apart and checks their signatures, with no other algorithms than the given.

    Args:
        algorithms: names of JWS algorithms (RFC 7518, 8037, 9864).
        max_size: bytes of the largest header or payload.
    """

    def __init__(self, algorithms: Collection[str], *, max_size: int) -> None:
        self._registry = _AllowList(algorithms, max_size)

    def parse(self, token: str) -> CompactSignature | None:
        """The parts of `token`, of which nothing is verified yet; None when it is not a compact JWS."""
        try:
            parsed = extract_compact(token.encode("ascii"), registry=self._registry)
        except _PARSE_ERRORS:
            return None
        # joserfc takes any JSON value that "contains" alg, also a list or a string.
        header: Any = parsed.protected
        return parsed if isinstance(header, dict) else None

    def verify(self, parsed: CompactSignature, key: Key) -> bool:
        """Whether the signature is right under `key`, which must fit the header's algorithm."""
        try:
            return validate_compact(parsed, key, registry=self._registry)
        except _PARSE_ERRORS:
            return False


def signing_key_text() -> str:
    """A new Ed25519 key pair as a private JWK."""
    return json.dumps(OKPKey.generate_key("Ed25519").as_dict(private=True))


def load_signing_key(text: str) -> OKPKey:
    """The Ed25519 key pair that a JWK holds; raises ValueError when it holds none."""
    try:
        key = OKPKey.import_key(json.loads(text))
    except _PARSE_ERRORS:
        raise ValueError("not an Ed25519 private key in JWK form") from None
    if not key.is_private or key.curve_name != "Ed25519":
        raise ValueError("not an Ed25519 private key in JWK form")
    key.ensure_kid()
    return key


def sign(claims: Mapping[str, Any], key: RSAKey | ECKey | OKPKey | OctKey, *, algorithm: str, typ: str) -> str:
    """A compact JWS over `claims`."""
    header = {"alg": algorithm, "typ": typ, "kid": key.kid}
    registry = _AllowList((algorithm,), max_size=1 << 16)
    return serialize_compact(header, json.dumps(claims), key, registry=registry)
