"""Idempotency as a guard of chosen routes: reads the key, says whose it is and what for, and begins or answers the request."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from time import time
from typing import Any, Literal

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from starlette.requests import Request
from starlette.responses import FileResponse, StreamingResponse

from fastness.context import current
from fastness.idempotency.answer import HEADERS, NEVER, REPLAYED
from fastness.idempotency.execution import Claim, Execution, Leased
from fastness.idempotency.fingerprint import digest, fingerprint
from fastness.idempotency.key import HEADER, SCHEMA, InvalidKey, parse
from fastness.idempotency.outcome import IN_FLIGHT, INVALID, MISSING, REUSED, UNAVAILABLE, UNKNOWN, UNREADABLE
from fastness.idempotency.route import SLOT, IdempotentRoute, Replay, Slot
from fastness.idempotency.sealing import Sealer
from fastness.idempotency.store import Store
from fastness.openapi import add_problem
from fastness.problems import Problem

_DAY = 86_400
_PROBLEM = {"$ref": "#/components/schemas/Problem"}
_REPLAYED_DOCS = {
    "description": "`true` where this is the stored answer to an earlier request with the same key; absent otherwise.",
    "schema": {"type": "string", "enum": ["true"]},
}


class Idempotent:
    """A retried request has one effect and one answer: `dependencies=[Requires("orders:write"), Depends(Idempotent())]`.

    The route must be an `IdempotentRoute`. List it after authentication, because keys are each caller's own, and after other
    guards. Without authentication, whoever has the key and sends the same request gets the answer.

    In the default mode the answer is stored in the request's unit of work (`fastness.database.CurrentUnit`), with the effect:
    after any crash there are both or neither. Answers of 400 and above roll everything back and are not stored. What follows
    the answer (`BackgroundTasks`) belongs to the first execution and is not repeated; what must happen is a job.

    With `mode="store"` the key is held in a store while the handler runs. A crash in the middle leaves it unknown whether there
    was an effect: the client is told (409), and decides.

    Args:
        required: a request without a key is refused; False handles it like any other.
        keep: seconds for which an answer is stored. Clients are told in the API's document.
        by: whose keys are apart. `"principal"`: every caller's. `"tenant"`: every tenant's, so that a retry may come from
            another of its principals, who then gets the answer.
        headers: names of response headers to store, besides `answer.HEADERS`.
        max_answer: bytes of a response's body that are stored; a longer one is an error.
        seal: store answers encrypted, because they hold secrets, which would stand in the table and, where a commit fails, in
            PostgreSQL's log; with the lifespan state's `idempotency_sealer` (`Sealer`). Without one no request with a key is
            handled, and an answer that it cannot open is not given (503).
        mode: `"transaction"`, which needs `fastness[db]`, or `"store"`.
        store: for `mode="store"`, else the lifespan state's `idempotency_store`.
        lease: for `mode="store"`, seconds after which a handler that is not heard of counts as ended.
        refusals: for `mode="store"`, errors of the domain that say that nothing was done, so that the key is free again.
        clock: for tests, seconds since the epoch.

    Raises:
        ValueError: an argument is not valid.
        ImportError: `fastness[db]` is not installed.
    """

    def __init__(
        self,
        *,
        required: bool = True,
        keep: float = _DAY,
        by: Literal["principal", "tenant"] = "principal",
        headers: Collection[str] = (),
        max_answer: int = 262_144,
        seal: bool = False,
        mode: Literal["transaction", "store"] = "transaction",
        store: Store | None = None,
        lease: float = 30.0,
        refusals: Collection[type[Exception]] = (),
        clock: Callable[[], float] = time,
    ) -> None:
        names = frozenset(name.lower() for name in headers)
        if keep < 1 or max_answer < 0 or lease <= 0:
            raise ValueError(f"keep={keep!r} must be at least 1, max_answer={max_answer!r} at least 0, lease={lease!r} above 0")
        if by not in ("principal", "tenant"):
            raise ValueError(f"by={by!r} is neither 'principal' nor 'tenant'")
        if isinstance(headers, str) or names & NEVER:
            raise ValueError(f"headers={headers!r} must be a list of names without {', '.join(sorted(NEVER))}")
        if mode not in ("transaction", "store"):
            raise ValueError(f"mode={mode!r} is neither 'transaction' nor 'store'")
        if mode == "transaction" and (store is not None or refusals):
            raise ValueError("store and refusals are for mode='store': a transaction undoes what it did")
        self._required = required
        self._keep = keep
        self._by = by
        self._headers = HEADERS | names
        self._max_answer = max_answer
        self._seal = seal
        self._store = store
        self._lease = lease
        self._refusals = tuple(refusals)
        self._clock = clock
        parameters = [inspect.Parameter("request", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Request)]
        self._in_transaction: Any = None
        if mode == "transaction":
            unit, self._in_transaction = _database()
            parameters.append(inspect.Parameter("uow", inspect.Parameter.KEYWORD_ONLY, annotation=unit))
        # FastAPI reads the dependency tree off the signature: in store mode there is no unit of work in it.
        self.__signature__ = inspect.Signature(parameters)

    async def __call__(self, request: Request, *, uow: Any = None) -> None:
        slot: Slot | None = request.scope.get(SLOT)
        if slot is None:
            raise RuntimeError(
                f"{request.method} {request.url.path} is behind Idempotent and its route is not an IdempotentRoute: make its "
                "router with APIRouter(route_class=IdempotentRoute)"
            )
        if slot.taken:
            raise RuntimeError("a route is behind two Idempotent guards: leave one of them")
        slot.taken = True
        try:
            key = parse(request.headers.getlist(HEADER))
        except InvalidKey as error:
            raise Problem(INVALID, str(error)) from None
        if key is None:
            if self._required:
                raise Problem(MISSING)
            return
        caller = self._caller()
        claim = Claim(
            key=digest([*caller, request.method, _mount(request), slot.place.template, key]),
            fingerprint=await fingerprint(request),
            keep=self._keep,
            outcomes=slot.place.outcomes,
            headers=self._headers,
            max_answer=self._max_answer,
            sealer=self._sealer(request) if self._seal else None,
        )
        slot.check = lambda: self._same(caller)
        slot.execution = self._execution(claim, request, uow)
        answer = await slot.execution.begin()
        if answer is not None:
            raise Replay(answer)

    def _execution(self, claim: Claim, request: Request, uow: Any) -> Execution:
        if self._in_transaction is not None:
            execution: Execution = self._in_transaction(claim, uow, clock=self._clock)
            return execution
        store = self._store
        if store is None:
            store = getattr(request.state, "idempotency_store", None)
        if not isinstance(store, Store):
            raise RuntimeError(  # noqa: TRY004 - a fault of the composition, not of a value
                "Idempotent(mode='store') has no store: give it one, or yield {'idempotency_store': RedisStore(...)} from the "
                "lifespan"
            )
        return Leased(claim, store, lease=self._lease, refusals=self._refusals)

    def _sealer(self, request: Request) -> Sealer:
        sealer = getattr(request.state, "idempotency_sealer", None)
        if not isinstance(sealer, Sealer):
            raise RuntimeError(  # noqa: TRY004 - a fault of the composition, not of a value
                "Idempotent(seal=True) has no keys: yield {'idempotency_sealer': Sealer(keys)} from the lifespan"
            )
        return sealer

    def _caller(self) -> tuple[str | None, str | None]:
        context = current()
        if context is None:
            raise RuntimeError(
                "Idempotent cannot know whose key it is: put fastness.context.ContextMiddleware into the middleware list"
            )
        shared = self._by == "tenant" and context.tenant is not None
        return context.tenant, None if shared else context.principal

    def _same(self, caller: tuple[str | None, str | None]) -> None:
        if self._caller() != caller:
            raise RuntimeError(
                "the caller was authenticated after Idempotent had looked, so its answer would be stored as anybody's: list "
                "Idempotent after authentication"
            )

    def document_operation(self, operation: dict[str, Any]) -> None:
        """Add the header and the answers to an OpenAPI operation."""
        period = f"{self._keep / 3600:g} hours" if self._keep >= 3600 else f"{self._keep:g} seconds"
        operation.setdefault("parameters", []).append(
            {
                "name": HEADER,
                "in": "header",
                "required": self._required,
                "description": "A new random value for each new intent, and the same one with each retry: the effect happens "
                f"once, and a retry gets the same answer. Keys are remembered for {period}; after that, one counts as new. "
                "Answers of 400 and above are not remembered. (draft-ietf-httpapi-idempotency-key-header-07)",
                "schema": SCHEMA,
            }
        )
        responses = operation.setdefault("responses", {})
        validation = responses.get("422")
        problems = [INVALID, IN_FLIGHT, REUSED, *([MISSING] if self._required else [])]
        if self._in_transaction is None:
            problems += [UNKNOWN, UNAVAILABLE]
        add_problem(operation, *problems, *([UNREADABLE] if self._seal else []))
        if validation is not None:
            _widen(validation)
        for status, answer in responses.items():
            if status.startswith("2"):
                answer.setdefault("headers", {}).setdefault(REPLAYED, _REPLAYED_DOCS)


def verify(app: FastAPI) -> None:
    """Check at start what would otherwise fail with the first request: `idempotency.verify(app)` after the last router.

    Raises:
        ValueError: a route is behind `Idempotent` without being an `IdempotentRoute`, or its answers stream.
    """
    faults = []
    for context in iter_route_contexts(app.routes):
        dependant = getattr(context, "dependant", None)
        if dependant is None or not any(isinstance(call, Idempotent) for call in _calls(dependant)):
            continue
        where = f"{', '.join(sorted(context.methods or ()))} {context.path}"
        if not isinstance(context.original_route, IdempotentRoute):
            faults.append(f"{where} is not an IdempotentRoute: make its router with APIRouter(route_class=IdempotentRoute)")
        made = getattr(context, "response_class", None)
        made = getattr(made, "value", made)
        streams = getattr(context, "is_sse_stream", False) or getattr(context, "is_json_stream", False)
        if streams or (isinstance(made, type) and issubclass(made, StreamingResponse | FileResponse)):
            faults.append(f"{where} streams its answer, which cannot be stored: take Idempotent off it")
    if faults:
        raise ValueError("; ".join(faults))


def _calls(dependant: Dependant) -> Iterator[Any]:
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from _calls(dependency)


def _widen(response: dict[str, Any]) -> None:
    """A 422 is then either a validation problem, which has members of its own, or this one."""
    if REUSED.description not in response.get("description", ""):
        response["description"] = f"{response.get('description', '')}\n{REUSED.description}".strip()
        response["content"] = {
            kind: {**content, "schema": {"anyOf": [content.get("schema", {}), _PROBLEM]}}
            for kind, content in response.get("content", {}).items()
        }


def _mount(request: Request) -> str:
    """Where the app is mounted in another. What a proxy in front has cut off is no part of it, since it may change."""
    root: str = request.scope.get("root_path", "")
    return root[len(request.scope.get("app_root_path", root)) :]


def _database() -> tuple[Any, Any]:
    try:
        from fastness.database import CurrentUnit
        from fastness.idempotency.transaction import InTransaction
    except ImportError as error:
        raise ImportError(
            "Idempotent() stores answers in the service's database and needs `pip install fastness[db]`; for handlers without "
            "one there is Idempotent(mode='store')"
        ) from error
    return CurrentUnit, InTransaction
