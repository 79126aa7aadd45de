"""An issuer under test control: its keys, its key set and tokens with any header and claims."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

NOW = 1_800_000_000


def b64(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Signs whatever it is told to."""

    name = "https://issuer.example"
    audience = "relay"
    now = NOW

    def __init__(self) -> None:
        self.rsa = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
        self.ec = ECKey.generate_key("P-256", {"kid": "ec"})
        self.ed = OKPKey.generate_key("Ed25519", {"kid": "ed"})
        self.stranger = RSAKey.generate_key(2048, {"kid": "rsa"})

    def jwks(self, *keys: Key) -> dict[str, Any]:
        return {"keys": [key.as_dict(private=False) for key in keys or (self.rsa, self.ec, self.ed)]}

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Valid claims with some changed; a change to `...` leaves the claim out."""
        valid = {"iss": self.name, "aud": self.audience, "sub": "alice", "iat": NOW, "exp": NOW + 300, "scope": "a b"}
        return {name: value for name, value in {**valid, **changes}.items() if value is not ...}

    def token(
        self,
        claims: Any = ...,
        *,
        header: Any = None,
        key: Key | None = None,
        algorithm: str = "RS256",
        **changes: Any,
    ) -> str:
        """A signed token; `header` is laid over the usual one, and replaces it when it is not a mapping."""
        signer = key or {"RS256": self.rsa, "ES256": self.ec, "Ed25519": self.ed}[algorithm]
        full: Any = {"alg": algorithm, "typ": "at+jwt", "kid": signer.kid}
        if isinstance(header, dict):
            full = {name: value for name, value in {**full, **header}.items() if value is not ...}
        elif header is not None:
            full = header
        return self.sign(full, self.claims(**changes) if claims is ... else claims, signer, algorithm)

    @staticmethod
    def sign(header: Any, payload: Any, key: Key, algorithm: str) -> str:
        text = f"{b64(header)}.{b64(payload)}"
        return f"{text}.{b64(JWSRegistry.algorithms[algorithm].sign(text.encode(), key))}"


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    return Issuer()
