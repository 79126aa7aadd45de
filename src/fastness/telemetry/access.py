"""The access log: one event for each request, when it ends.

It is written on every request, so in JSON it takes a path of its own: the line is put together and written at once, in the
format of `fastness.telemetry.logs`. What a client made up is escaped and bounded; a query string never gets in.
"""

from __future__ import annotations

import logging
from json.encoder import encode_basestring_ascii as quote  # in C where there is C
from time import time

from fastness._asgi import Exchange, client_address
from fastness.telemetry import logs
from fastness.telemetry.redaction import Redactor
from fastness.telemetry.server import Series

_MAX_PATH = 1024
_MAX_AGENT = 256
_MAX_METHOD = 32
# What POSIX promises (PIPE_BUF on Linux) not to mix with what another worker writes to the same pipe.
_MAX_WRITE = 4096
# Callers remembered, of some 300 bytes each.
_MAX_CALLERS = 1024
# Nothing shorter in a path is a credential that can be told from a name.
_MIN_SECRET = 24


class AccessLog:
    """Writes the access events of an app, under the logger `fastness.access`."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("fastness.access")
        self._output: logs.Output | None = None
        self._now = ""
        self._callers: dict[tuple[str | None, bytes | None], str] = {}
        self._lines: list[str] = []
        self._length = 0

    def begin(self) -> None:
        """Look at the clock and at where lines go, once for all requests that are logged before the next `flush`."""
        self._output = logs.output()
        self._now = logs.stamp(time())

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
        output = self._output
        if output is None or not output.as_json:
            self._write_readable(exchange, series, seconds, cut_off, failed=failed)
            return
        if series.output is not output:
            series.output = output
            series.heads = _head(series, output, failed=False), _head(series, output, failed=True)
        line = self._line(exchange, series.heads[failed], seconds, output.redactor, _rest(exchange, series, cut_off))
        self._length += len(line)
        if self._length > _MAX_WRITE:
            self.flush()
            self._length = len(line)
        self._lines.append(line)

    def flush(self) -> None:
        """Write the lines that are due."""
        if self._lines and self._output is not None:
            self._output.write("".join(self._lines))
        self._lines.clear()
        self._length = 0

    def _line(self, exchange: Exchange, head: str, seconds: float, redactor: Redactor, rest: str) -> str:
        context = exchange.context
        path = exchange.scope["path"]
        if len(path) >= _MIN_SECRET:
            path = redactor.text(path[:_MAX_PATH])
        agent = exchange.headers.get(b"user-agent")
        client = client_address(exchange.scope)
        caller = self._callers.get((client, agent))
        if caller is None:
            caller = self._caller(client, agent)
        # Known without quoting: times, numbers, ids that `context` has checked.
        ids = "" if context is None else f',"request_id":"{context.request_id}","trace_id":"{context.trace_id}"'
        took = int(seconds * 1_000_000)
        return (
            f'{{"time":"{self._now}{head},"path":{quote(path)},"duration_ms":{took // 1000}.{logs.THREE_DIGITS[took % 1000]}'
            f',"size":{exchange.size}{ids}{caller}{rest}}}\n'
        )

    def _caller(self, client: str | None, agent: bytes | None) -> str:
        """Who called, which is the same for all requests of a connection and so remembered."""
        fields = "" if client is None else f',"client":{quote(client)}'
        if agent is not None:
            fields += f',"user_agent":{quote(agent[:_MAX_AGENT].decode("latin-1"))}'
        if len(self._callers) >= _MAX_CALLERS:
            self._callers.clear()
        if agent is None or len(agent) <= _MAX_AGENT:
            self._callers[client, agent] = fields
        return fields

    def _write_readable(self, exchange: Exchange, series: Series, seconds: float, cut_off: str | None, *, failed: bool) -> None:
        scope, context = exchange.scope, exchange.context
        fields: dict[str, object] = {"route": series.route, "size": exchange.size, "client": client_address(scope)}
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


def _head(series: Series, output: logs.Output, *, failed: bool) -> str:
    """What is the same in every line of a series, from the end of the time on."""
    return (
        f'","level":"{"warning" if failed else "info"}","logger":"fastness.access","event":"request"{output.fixed}'
        f',"method":"{series.method}","route":{quote(series.route)}'
        f',"status":{series.status if series.status.isdigit() else 0}'
    )


def _rest(exchange: Exchange, series: Series, cut_off: str | None) -> str:
    """What most requests do not have."""
    context, method = exchange.context, exchange.scope["method"]
    fields = ""
    if context is not None:
        if context.principal is not None:
            fields = f',"principal":{quote(context.principal)}'
        if context.tenant is not None:
            fields += f',"tenant":{quote(context.tenant)}'
    if method != series.method:
        fields += f',"method_original":{quote(method[:_MAX_METHOD])}'
    if exchange.error is not None:
        fields += f',"error":{quote(type(exchange.error).__qualname__)}'
    if cut_off is not None:
        fields += ',"disconnected":true' if cut_off == "disconnect" else ',"incomplete":true'
    return fields
