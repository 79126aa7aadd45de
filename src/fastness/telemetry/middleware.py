"""The layer that measures and logs every request. How that is counted, labelled and written is in the modules next to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from time import monotonic

from starlette.requests import ClientDisconnect

from fastness._asgi import PROBES, ASGIApp, Exchange, Layer, Receive, Scope, Send
from fastness.context import current
from fastness.slo import SLO, latency_thresholds
from fastness.telemetry import logs, traces, websockets
from fastness.telemetry.access import AccessLog
from fastness.telemetry.routes import Routes
from fastness.telemetry.server import loop_watch, server_metrics

logger = logging.getLogger("fastness.telemetry")

# nginx's word for a client that went away before it had an answer: no fault of the service.
_CLIENT_CLOSED = 499


class TelemetryMiddleware(Layer):
    """Measures every request, logs it as one event, and gives it one trace id in logs, spans and outbound calls.

    Put it just inside `ContextMiddleware`. A request takes until the last part of its response; background tasks are not its
    time. A request that ended without an answer counts as 500, or as 499 when the client had gone away. A WebSocket connection
    is one event too, when it ends, and has metrics of its own.

    Args:
        slos: the objectives; every latency threshold becomes a bound of `http_server_request_duration_seconds`.
        exempt: paths that are measured, but logged only when they fail with a 5xx: probes and scrapes.
    """

    def __init__(self, app: ASGIApp, *, slos: Iterable[SLO] = (), exempt: Iterable[str] = (*PROBES, "/metrics")) -> None:
        super().__init__(app)
        self._metrics = server_metrics()
        self._metrics.widen(latency_thresholds(slos))
        self._watch = loop_watch()
        self._access = AccessLog()
        self._exempt = frozenset(exempt)
        self._routes: Routes | None = None
        self._watching = False
        self._ended: list[Exchange] = []
        if logs.output() is not None:
            # The server may have set up its own logging after the app did.
            logs.adopt_servers()

    def enter(self, exchange: Exchange) -> None:
        self._metrics.count(1)
        if "fastapi.telemetry" in exchange.scope and exchange.context is not None:
            exchange.otel_token = traces.join(exchange.scope, exchange.context)

    def leave(self, exchange: Exchange) -> None:
        self._metrics.count(-1)
        if exchange.otel_token is not None:
            traces.part(exchange.otel_token)
        # Recorded at the end of this turn of the event loop, when whoever else could be answered has been: what many requests
        # have in common is then done for all of them in a row, which costs each of them half.
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._record_ended)
        self._ended.append(exchange)
        if not self._watching:
            # Here rather than on the way in: it imports what would make the first answer late.
            self._watching = True
            self._watch.ensure()

    def _record_ended(self) -> None:
        ended, self._ended = self._ended, []
        self._access.begin()
        for exchange in ended:
            try:
                self._record(exchange)
            except Exception:
                logger.exception("a request could not be recorded")
        self._access.flush()

    def _record(self, exchange: Exchange) -> None:
        scope, status = exchange.scope, exchange.status
        cut_off = None if exchange.done else _cut_off(exchange)
        if not status:
            status = _CLIENT_CLOSED if cut_off == "disconnect" else 500
        route = self._label(scope)
        series = self._metrics.series.get((scope["method"], route, status))
        if series is None:
            series = self._metrics.add(scope["method"], route, status)
        seconds = (exchange.ended or monotonic()) - exchange.started
        series.observe(seconds, exchange.size)
        if cut_off is not None and exchange.status:
            self._metrics.incomplete(series, cut_off)
        if series.server_error or scope["path"] not in self._exempt:
            self._access.write(exchange, series, seconds, cut_off)

    async def websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        context = current()
        token = traces.join(scope, context) if "fastapi.telemetry" in scope and context is not None else None
        try:
            await websockets.observe(self.app, scope, receive, send, label=self._label)
        finally:
            if token is not None:
                traces.part(token)

    def _label(self, scope: Scope) -> str:
        if self._routes is None:
            # Within a stack the app is known by now; around an app, it is what is wrapped.
            self._routes = Routes(scope.get("app", self.app))
        return self._routes.label(scope)


def _cut_off(exchange: Exchange) -> str | None:
    """Why the response has no end, `disconnect` or `error`; None where there was none to begin with."""
    if exchange.disconnected or isinstance(exchange.error, ClientDisconnect):
        return "disconnect"
    return "error" if exchange.status else None
