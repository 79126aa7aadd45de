"""What an endpoint demands of its caller, as FastAPI dependencies that show in OpenAPI."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import Security
from fastapi.openapi.models import APIKey as APIKeyModel
from fastapi.openapi.models import APIKeyIn
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.openapi.models import SecurityBase as SecurityModel
from fastapi.security.base import SecurityBase
from starlette.exceptions import WebSocketException
from starlette.requests import HTTPConnection

from fastness import openapi
from fastness.auth.authenticator import API_KEY_HEADER, FORBIDDEN, UNAUTHENTICATED, Authenticator
from fastness.auth.principal import Method, Principal
from fastness.problems import Problem

# RFC 6749, section 3.3.
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+")
_VERIFIED = "fastness.auth.principal"


def Requires(*scopes: str, by: Sequence[Method] = ("jwt",)) -> Any:  # noqa: N802 - reads as FastAPI's Depends
    """A guard: the request goes on with an authenticated principal that holds all `scopes`, or ends in 401 or 403.

    Use it as `dependencies=[Requires("events:write")]` of an app, a router or an endpoint, or where the principal is wanted as
    `Annotated[Principal, Requires("events:read")]`. It needs an `Authenticator` as `authenticator` in the lifespan state, and
    answers 500 without one. On a WebSocket it closes the handshake.

    Args:
        scopes: all of these are needed; none means that any principal will do.
        by: the ways to authenticate that are taken, and shown in OpenAPI. Keys get in only where the endpoint says so:
            `("jwt", "api_key")`.

    Raises:
        ValueError: a scope or a way to authenticate is not one.
    """
    for scope in scopes:
        if not _SCOPE.fullmatch(scope):
            raise ValueError(
                f"Requires: {scope!r} is not a scope (RFC 6749: printable ASCII without space, quote or backslash)"
            )
    if isinstance(by, str) or not by or set(by) - _SCHEMES.keys():
        raise ValueError(f"Requires: by={by!r} is not a list of {', '.join(sorted(_SCHEMES))}")
    return Security(_Guard(frozenset(scopes), tuple(by)), scopes=list(scopes))


class _Guard:
    def __init__(self, scopes: frozenset[str], methods: tuple[Method, ...]) -> None:
        self._scopes = scopes
        self._methods = methods
        # FastAPI reads the dependency tree off the signature: these show the security schemes in OpenAPI.
        connection = inspect.Parameter("connection", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=HTTPConnection)
        schemes = [
            inspect.Parameter(method, inspect.Parameter.KEYWORD_ONLY, default=Security(_SCHEMES[method])) for method in methods
        ]
        self.__signature__ = inspect.Signature([connection, *schemes])

    async def __call__(self, connection: HTTPConnection, **_: None) -> Principal:
        try:
            return await self._admit(connection)
        except Problem as problem:
            if connection.scope["type"] == "http":
                raise
            # There is no response to carry a problem: policy violation, or try again later (RFC 6455, section 7.4.1).
            raise WebSocketException(1013 if problem.kind.status == 503 else 1008, problem.kind.title) from None

    async def _admit(self, connection: HTTPConnection) -> Principal:
        authenticator = _authenticator(connection)
        verified = connection.scope.get(_VERIFIED)
        # Guards of the app, the router and the endpoint stand in one request: one verification serves those that agree.
        principal = verified if verified is not None and verified.method in self._methods else None
        if principal is None:
            principal = await authenticator.authenticate(connection.headers, methods=self._methods)
            connection.scope[_VERIFIED] = principal
        if not self._scopes <= principal.scopes:
            raise authenticator.deny(principal, self._scopes)
        return principal

    def document_operation(self, operation: dict[str, Any]) -> None:
        """The answers of a guard, for `fastness.openapi`."""
        openapi.add_problem(operation, UNAUTHENTICATED)
        challenge = {"schema": {"type": "string"}, "description": "How to authenticate (RFC 9110, section 11.6.1)."}
        operation["responses"]["401"].setdefault("headers", {}).setdefault("WWW-Authenticate", challenge)
        if self._scopes:
            openapi.add_problem(operation, FORBIDDEN)


def _authenticator(connection: HTTPConnection) -> Authenticator:
    state = connection.scope.get("state")
    authenticator = state.get("authenticator") if isinstance(state, dict) else None
    if not isinstance(authenticator, Authenticator):
        # Not a Problem: it is a fault of ours, and its text is for the log.
        raise RuntimeError(  # noqa: TRY004 - not an argument, a missing configuration
            f"a guarded endpoint found {type(authenticator).__name__} instead of an Authenticator in the lifespan state: "
            'yield {"authenticator": Authenticator(...)} from the lifespan'
        )
    return authenticator


class _Scheme(SecurityBase):
    """Shows a security scheme in OpenAPI; the guard does the work, once for all schemes."""

    def __init__(self, name: str, model: SecurityModel) -> None:
        self.scheme_name = name
        self.model = model

    async def __call__(self) -> None:
        return None


_SCHEMES: dict[Method, _Scheme] = {
    "jwt": _Scheme("Bearer", HTTPBearerModel(bearerFormat="JWT", description="An access token (RFC 6750, RFC 9068).")),
    "api_key": _Scheme(
        "APIKey",
        APIKeyModel.model_validate(
            {"in": APIKeyIn.header, "name": API_KEY_HEADER, "description": "A key that the service has issued."}
        ),
    ),
}

CurrentPrincipal = Annotated[Principal, Requires()]
"""The caller by its token, with whatever scopes: `async def endpoint(principal: CurrentPrincipal)`."""
