"""The access log: one event for each request, when it ends.

It is written on every request, so in JSON it takes a path of its own: the line is put together and written at once, in the
format of `fastness.telemetry.logs`. What a client made up is escaped and bounded; a query string never gets in.
"""

from __future__ import annotations

import logging
from json.encoder import encode_basestring_ascii as quote  # in C where there is C
from time import time

from fastness._asgi import Exchange
from fastness.telemetry import logs
from fastness.telemetry.server import Series

_MAX_PATH = 1024
_MAX_AGENT = 256
_MAX_METHOD = 32
# What POSIX promises (PIPE_BUF on Linux) not to mix with what another worker writes to the same pipe.
_MAX_WRITE = 4096
# Nothing shorter in a path is a credential that can be told from a name.
_MIN_SECRET = 24


class AccessLog:
    """Writes the access events of an app, under the logger `fastness.access`."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("fastness.access")
        self._lines: list[str] = []
        self._length = 0

    def write(self, exchange: Exchange, series: Series, seconds: float, cut_off: str | None) -> None:
        """Log that the request has ended; in JSON the line is out after the next `flush`.

        Args:
            exchange: the request and its response.
            series: its labels.
            seconds: how long it took.
            cut_off: `error` or `disconnect` when the response did not end, or was not even started.
        """
        failed = series.server_error or cut_off == "error"
        if not self._logger.isEnabledFor(logging.WARNING if failed else logging.INFO):
            return
        output = logs.output()
        if output is not None and output.as_json:
            line = _line(exchange, series, seconds, cut_off, failed=failed, output=output)
            if self._length + len(line) > _MAX_WRITE:
                self.flush()
            self._lines.append(line)
            self._length += len(line)
        else:
            self._write_readable(exchange, series, seconds, cut_off, failed=failed)

    def flush(self) -> None:
        """Write the lines that are due."""
        if self._lines:
            text = "".join(self._lines)
            self._lines.clear()
            self._length = 0
            if (output := logs.output()) is not None:
                output.write(text)

    def _write_readable(self, exchange: Exchange, series: Series, seconds: float, cut_off: str | None, *, failed: bool) -> None:
        scope, context = exchange.scope, exchange.context
        fields: dict[str, object] = {"route": series.route, "size": exchange.size, "client": _client(exchange)}
        if context is not None:
            fields |= {"request_id": context.request_id, "principal": context.principal, "tenant": context.tenant}
        if exchange.error is not None:
            fields["error"] = type(exchange.error).__qualname__
        if cut_off is not None:
            fields |= _CUT_OFF[cut_off]
        event = f"{scope['method'][:_MAX_METHOD]} {scope['path'][:_MAX_PATH]} {series.status} {seconds * 1000:.1f} ms"
        self._logger.log(
            logging.WARNING if failed else logging.INFO,
            "%s",
            event,
            extra={"access": {name: value for name, value in fields.items() if value is not None}},
        )


_CUT_OFF = {"disconnect": {"disconnected": True}, "error": {"incomplete": True}}


def _line(exchange: Exchange, series: Series, seconds: float, cut_off: str | None, *, failed: bool, output: logs.Output) -> str:
    scope, context = exchange.scope, exchange.context
    path = scope["path"]
    if len(path) >= _MIN_SECRET:
        path = output.redactor.text(path[:_MAX_PATH])
    head = series.heads.get((output, failed))
    if head is None:
        # Keyed by the output, whose format it is; there is one, and another only when logging is configured again.
        head = series.heads[output, failed] = _head(series, output, failed=failed)
    ids = more = ""
    if context is not None:
        ids = f',"request_id":"{context.request_id}","trace_id":"{context.trace_id}"'
        if context.principal is not None:
            more = f',"principal":{quote(context.principal)}'
        if context.tenant is not None:
            more += f',"tenant":{quote(context.tenant)}'
    client = _client(exchange) if context is None else context.client
    if client is not None:
        more += f',"client":{quote(client)}'
    agent = exchange.headers.get(b"user-agent")
    if agent is not None:
        more += f',"user_agent":{quote(agent[:_MAX_AGENT].decode("latin-1"))}'
    if scope["method"] != series.method:
        more += f',"method_original":{quote(scope["method"][:_MAX_METHOD])}'
    if exchange.error is not None:
        more += f',"error":{quote(type(exchange.error).__qualname__)}'
    if cut_off is not None:
        more += ',"disconnected":true' if cut_off == "disconnect" else ',"incomplete":true'
    # Known without quoting: times, numbers, ids that `context` has checked.
    took = int(seconds * 1_000_000)
    return (
        f'{{"time":"{logs.stamp(time())}"{head},"path":{quote(path)},"duration_ms":{took // 1000}.{took % 1000:03d}'
        f',"size":{exchange.size}{ids}{more}}}\n'
    )


def _head(series: Series, output: logs.Output, *, failed: bool) -> str:
    """What is the same in every line of a series."""
    return (
        f',"level":"{"warning" if failed else "info"}","logger":"fastness.access","event":"request"{output.fixed}'
        f',"method":"{series.method}","route":{quote(series.route)}'
        f',"status":{series.status if series.status.isdigit() else 0}'
    )


def _client(exchange: Exchange) -> str | None:
    if exchange.context is not None:
        return exchange.context.client
    peer = exchange.scope.get("client")
    return peer[0] if peer else None
