"""From a request to its principal: reads the credential, has it verified, and answers what was not (RFC 6750, RFC 9110).

What an endpoint demands of the principal belongs to `guards`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from starlette.datastructures import Headers

from fastness import _metrics, audit
from fastness.auth.principal import Method, Principal, Reason, Refused, Unavailable, Verifier
from fastness.context import current
from fastness.problems import Problem, ProblemType

UNAUTHENTICATED = ProblemType(
    "urn:problem-type:fastness:unauthenticated",
    "Authentication is required",
    401,
    "There is no credential, or it is not valid or no longer so; get a new one.",
)
FORBIDDEN = ProblemType(
    "urn:problem-type:fastness:insufficient-scope",
    "A scope is missing",
    403,
    "The credential is valid but lacks a scope; `required_scopes` lists those that are needed.",
)
AMBIGUOUS = ProblemType(
    "urn:problem-type:fastness:ambiguous-credentials",
    "There is more than one credential",
    400,
    "Send one credential, in one way (RFC 6750, section 3.1).",
)
UNAVAILABLE = ProblemType(
    "urn:problem-type:fastness:authentication-unavailable",
    "Credentials cannot be verified at the moment",
    503,
    "Try again after `Retry-After` seconds; the credential may be good.",
)

API_KEY_HEADER = "X-API-Key"


class Authenticator:
    """Knows which credentials the service takes. It is found as `authenticator` in the lifespan state.

    Args:
        jwt: verifies `Authorization: Bearer`; None when the service takes no tokens.
        api_key: verifies `X-API-Key`; None when it takes no keys.
        realm: names the protected space in challenges.

    Raises:
        ValueError: there is no verifier, or the realm cannot be quoted.
    """

    def __init__(self, *, jwt: Verifier | None = None, api_key: Verifier | None = None, realm: str = "api") -> None:
        if jwt is None and api_key is None:
            raise ValueError("Authenticator needs a verifier: give jwt=JWTVerifier(...), api_key=APIKeyVerifier(...) or both")
        if not realm.isascii() or not realm.isprintable() or set(realm) & set('"\\'):
            raise ValueError(f"realm: {realm!r} cannot stand in a challenge; use printable ASCII without quotes")
        verifiers: dict[Method, Verifier | None] = {"jwt": jwt, "api_key": api_key}
        self._verifiers = {method: verifier for method, verifier in verifiers.items() if verifier is not None}
        refusals = _metrics.counter("fastness_auth_refusals", "Requests without access, by reason.", ("reason",))
        self._refused = {reason: refusals.labels(reason.value) for reason in Reason}
        self._denied = refusals.labels("scope")
        self._unverified = refusals.labels("unavailable")
        self._challenges: dict[Method, str] = {"jwt": f'Bearer realm="{realm}"', "api_key": f'APIKey realm="{realm}"'}

    async def authenticate(self, headers: Headers, *, methods: Collection[Method] = ("jwt", "api_key")) -> Principal:
        """The principal of a request, noted in the request's context.

        Args:
            headers: of the request.
            methods: the ways to authenticate that the endpoint takes; credentials of another kind are not looked at.

        Raises:
            Problem: 401, 400 when there are several credentials, or 503 when they cannot be verified now.
            RuntimeError: the service takes none of `methods`, or a verifier returned no principal.
        """
        accepted = [method for method in methods if method in self._verifiers]
        if not accepted:
            raise RuntimeError(
                f"the endpoint takes {' or '.join(methods)}, and the Authenticator has no verifier for it: "
                "give it one, or say by=... in Requires"
            )
        found = _credentials(headers, accepted)
        if len(found) != 1:
            raise self._refusal(Reason.AMBIGUOUS if found else Reason.MISSING, accepted, "jwt")
        [(method, credential)] = found
        try:
            principal = await self._verifiers[method].verify(credential)
        except Refused as refused:
            raise self._refusal(refused.reason, accepted, method) from None
        except Unavailable as error:
            self._unverified.inc()
            wait = str(max(1, math.ceil(error.retry_after)))
            raise Problem(UNAVAILABLE, headers={"Retry-After": wait}) from error
        if not isinstance(principal, Principal):
            raise TypeError(f"{type(self._verifiers[method]).__name__}.verify returned {type(principal).__name__}")
        context = current()
        if context is not None:
            context.principal = principal.subject
            context.tenant = principal.tenant
        return principal

    def deny(self, principal: Principal, required: Iterable[str]) -> Problem:
        """The 403 for a principal that lacks some of the `required` scopes."""
        scopes = sorted(required)
        self._denied.inc()
        audit.record("auth.deny", method=principal.method, missing=sorted(set(scopes) - principal.scopes))
        challenge = f'{self._challenges["jwt"]}, error="insufficient_scope", scope="{" ".join(scopes)}"'
        # RFC 6750, section 3: the challenge is for bearer tokens.
        headers = {"WWW-Authenticate": challenge} if principal.method == "jwt" else None
        return Problem(FORBIDDEN, headers=headers, required_scopes=scopes)

    def _refusal(self, reason: Reason, accepted: list[Method], method: Method) -> Problem:
        self._refused[reason].inc()
        audit.record("auth.refuse", reason=reason.value, method=method)
        # RFC 6750, section 3.1: no error code where no credential was given; otherwise the same one whatever was wrong.
        error = {Reason.MISSING: None, Reason.AMBIGUOUS: "invalid_request"}.get(reason, "invalid_token")
        challenges = {way: self._challenges[way] for way in accepted}
        if error is not None and method == "jwt" and "jwt" in challenges:
            challenges["jwt"] += f', error="{error}"'
        headers = {"WWW-Authenticate": ", ".join(challenges.values())}
        if reason is Reason.AMBIGUOUS:
            return Problem(AMBIGUOUS, headers=headers)
        detail = "No credential was given." if reason is Reason.MISSING else "The credential is not valid."
        return Problem(UNAUTHENTICATED, detail, headers=headers)


def _credentials(headers: Headers, accepted: list[Method]) -> list[tuple[Method, str]]:
    """The credentials of an accepted kind; of any other number than one, none may be chosen."""
    found: list[tuple[Method, str]] = []
    if "jwt" in accepted:
        for line in headers.getlist("authorization"):
            scheme, _, token = line.partition(" ")
            if scheme.lower() == "bearer":
                found.append(("jwt", token.strip(" ")))
    if "api_key" in accepted:
        found += [("api_key", line) for line in headers.getlist(API_KEY_HEADER)]
    return found
