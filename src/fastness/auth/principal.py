"""Who is calling, and the two ways not to know: the credential is refused, or it cannot be checked now. No HTTP here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, Protocol

Method = Literal["jwt", "api_key"]


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    Attributes:
        subject: stable identifier of the caller within its issuer.
        tenant: the customer that the caller acts for, or None.
        scopes: what the caller may do.
        method: how it authenticated.
        claims: the verified claims of its token; empty for an API key. They are left out of `repr`, which ends up in logs.
    """

    subject: str
    tenant: str | None = None
    scopes: frozenset[str] = frozenset()
    method: Method = "jwt"
    claims: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), repr=False, compare=False)


class Reason(StrEnum):
    """Why a credential was refused: for metrics and audit events, never for the client."""

    MISSING = "missing"
    AMBIGUOUS = "ambiguous"
    MALFORMED = "malformed"
    OVERSIZED = "oversized"
    ALGORITHM = "algorithm"
    TYPE = "type"
    CRITICAL = "critical"
    UNKNOWN_KEY = "unknown_key"
    SIGNATURE = "signature"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    ISSUER = "issuer"
    AUDIENCE = "audience"
    CLAIMS = "claims"
    SECRET = "secret"  # noqa: S105 - the name of a reason
    REVOKED = "revoked"


class Refused(Exception):  # noqa: N818 - a verdict on the caller's credential, not a fault of ours
    """The credential does not authenticate anyone.

    Args:
        reason: which check failed.
    """

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Unavailable(Exception):  # noqa: N818 - as `Refused`
    """The credential can be neither accepted nor refused at the moment.

    Args:
        message: what is missing and what to do, for the log.
        retry_after: seconds after which another try makes sense.
    """

    def __init__(self, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Verifier(Protocol):
    """Turns one kind of credential into a principal. Write your own for a kind that is not here."""

    async def verify(self, credential: str, /) -> Principal:
        """The principal that `credential` proves; raises `Refused`, or `Unavailable` where that cannot be told."""
        ...
