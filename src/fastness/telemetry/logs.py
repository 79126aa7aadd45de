"""Logging for the whole process: structlog and stdlib records become the same lines, JSON or for a console, without secrets.

What is logged about a request when it ends is in `fastness.telemetry.access`; it writes through the handler made here.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, TextIO

from opentelemetry import trace

from fastness import _metrics, audit
from fastness.context import current
from fastness.telemetry.redaction import Redactor

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

# Servers bring handlers of their own. Their access logs are replaced by ours, one event per request with its ids.
_SERVER_LOGGERS = ("uvicorn", "uvicorn.error", "uvicorn.asgi", "hypercorn.error", "gunicorn.error")
_ACCESS_LOGGERS = ("uvicorn.access", "hypercorn.access", "gunicorn.access")

# What every record has, or what only means something to another formatter: not fields of the event.
_RECORD_ATTRIBUTES = frozenset(vars(logging.makeLogRecord({}))) | {
    "asctime",
    "color_message",
    "message",
    "taskName",
    "_logger",
    "_name",
    "_from_structlog",
    "_record",
}
_NOT_ON_CONSOLE = ("trace_id", "span_id")
# Control characters, C1, line and paragraph separators, and the marks that turn the direction of text.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]")

# They log every URL at INFO, with its query, where credentials are not told from anything else.
_TELLTALES = ("httpcore2", "httpx2")

encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode
"""JSON in ASCII, as everything is written: no character of a value can end a line or forge one."""


def configure(
    *,
    format: Literal["json", "console"] = "json",  # noqa: A002 - the word that everybody looks for
    level: int | str = "INFO",
    service: str | None = None,
    version: str | None = None,
    redact: Iterable[str] = (),
    stream: TextIO | None = None,
) -> None:
    """Set up logging for the process. Call it once, before anything logs; a later call takes the place of an earlier one.

    Every record, whether from structlog or `logging`, becomes one line with `time`, `level`, `logger`, `event`, the ids and the
    principal of the current request, and its own fields; an exception is the one field `exception`. Secrets are replaced by
    `[redacted]`: by the name of their field, and by what looks like a credential in any text. Plain handlers on
    stdout and stderr are removed from the root logger; others (a log exporter, a test's) are left and not used for access
    lines, which are written here directly.

    Args:
        format: `json` for production, `console` for people.
        level: of the root logger: a name, or a number as in `logging`.
        service: the service's name, on every JSON line.
        version: its version, likewise.
        redact: names of further fields that hold secrets, such as `iban`.
        stream: where to write; by default stdout, where platforms collect logs.

    Raises:
        ValueError: the format or level is unknown.
    """
    if format not in ("json", "console"):
        raise ValueError(f"format: {format!r} is neither 'json' nor 'console'")
    number = _level(level)
    fixed = {name: value for name, value in (("service", service), ("version", version)) if value is not None}
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, Output) or _is_plain(handler):
            root.removeHandler(handler)
    root.addHandler(Output(stream or sys.stdout, Redactor(redact), fixed=fixed, as_json=format == "json"))
    root.setLevel(number)
    adopt_servers()
    for name in _TELLTALES:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    import structlog  # importing it takes as long as several modules of ours, and an app without these logs has no use for it

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.processors.StackInfoRenderer(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def set_level(level: int | str, *, logger: str | None = None) -> None:
    """Change the level of a logger, or of the root logger, while the service runs. The change is an audit event.

    Raises:
        ValueError: the level is unknown.
    """
    number = _level(level)
    target = logging.getLogger(logger)
    old = logging.getLevelName(target.level)
    target.setLevel(number)
    audit.record("log.level", outcome="changed", target=target.name, old=old, new=logging.getLevelName(number))


def adopt_servers() -> None:
    """Send the loggers of ASGI servers through the root logger, and switch off their access logs.

    A server that sets up its logging after `configure` is adopted when the middleware is built.
    """
    for name in _SERVER_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
        logger.setLevel(logging.NOTSET)
    for name in _ACCESS_LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = False


def output() -> Output | None:
    """The handler that `configure` has set up, or None."""
    for handler in logging.root.handlers:
        if type(handler) is Output:
            return handler
    return None


THREE_DIGITS = tuple(f"{number:03d}" for number in range(1000))
"""What would otherwise be formatted for every line."""


def stamp(seconds: float) -> str:
    """A time since the epoch as RFC 3339 has it, in UTC, to the millisecond."""
    whole = int(seconds)
    return f"{_second(whole)}{THREE_DIGITS[int((seconds - whole) * 1000)]}Z"


@lru_cache(maxsize=4)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))


class Output(logging.StreamHandler[TextIO]):
    """Writes records as lines of one format, and whole lines that were encoded elsewhere.

    Attributes:
        as_json: the lines are JSON.
        fixed: the fields that every JSON line carries, encoded: `,"service":"relay"`.
        redactor: what takes out secrets.
    """

    def __init__(self, stream: TextIO, redactor: Redactor, *, fixed: Mapping[str, str], as_json: bool) -> None:
        from structlog.stdlib import ProcessorFormatter

        super().__init__(stream)
        self.as_json = as_json
        self.fixed = "".join(f",{encode(name)}:{encode(value)}" for name, value in fixed.items())
        self.redactor = redactor
        self._lost = _metrics.counter("fastness_log_lines_lost", "Log lines that could not be written.")
        self._descriptor = _descriptor(stream)
        # The handler's own lock, which `logging` types as one that may be absent.
        self._turn: Any = self.lock
        render = _render_json if as_json else _console(stream)
        entry = _Entry(redactor, fixed if as_json else {})
        self.setFormatter(ProcessorFormatter(processors=[entry, render]))

    def write(self, lines: str) -> None:
        """Write ASCII lines, each with its line feed. What cannot be written is lost and counted: logging must not fail."""
        stream = self.stream
        try:
            if self._descriptor is None or stream.closed:
                with self._turn:
                    stream.write(lines)
                    stream.flush()
            else:
                # Straight to the file: the stream's own buffers are empty, since every record is flushed.
                data = lines.encode("ascii")
                with self._turn:
                    written = os.write(self._descriptor, data)
                    while written < len(data):
                        written += os.write(self._descriptor, data[written:])
        except (OSError, ValueError):  # the other end of the pipe is gone, or the stream is closed
            self._lost.inc(lines.count("\n"))

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as logging has it
        self._lost.inc()
        super().handleError(record)


def _descriptor(stream: TextIO) -> int | None:
    try:
        return stream.fileno()
    except (AttributeError, OSError, ValueError):  # not a file: a buffer, or what a test put there
        return None


class _Entry:
    """A structlog processor that makes the whole entry out of what was logged, the same for every source."""

    def __init__(self, redactor: Redactor, fixed: Mapping[str, str]) -> None:
        from structlog.contextvars import get_contextvars

        self._bound = get_contextvars
        self._redactor = redactor
        self._fixed = fixed

    def __call__(self, _logger: Any, _method: str, event: EventDict) -> EventDict:
        record: logging.LogRecord = event.pop("_record")
        event.pop("_from_structlog", None)
        text = event.pop("event", None)
        _add_exception(event)
        fields = {**self._bound(), **event}
        for name, value in vars(record).items():
            if name in ("audit", "access") and isinstance(value, Mapping):
                fields.update(value)
            elif name not in _RECORD_ATTRIBUTES:
                fields[name] = value
        entry: dict[str, Any] = {
            "time": stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": self._redactor.value(text),
            **self._fixed,
        }
        for name, value in self._redactor.fields(fields).items():
            entry.setdefault(name, value)
        for name, value in _correlation().items():
            if entry.get(name) is None:
                entry[name] = value
        return entry


def _correlation() -> dict[str, str]:
    """Who and what the current request is, for every line that is logged in its course."""
    ids: dict[str, str] = {}
    if (context := current()) is not None:
        ids["request_id"] = context.request_id
        ids["trace_id"] = context.trace_id
        if context.principal is not None:
            ids["principal"] = context.principal
        if context.tenant is not None:
            ids["tenant"] = context.tenant
    span = trace.get_current_span()
    if span.is_recording():
        known = span.get_span_context()
        ids["trace_id"] = f"{known.trace_id:032x}"
        ids["span_id"] = f"{known.span_id:016x}"
    elif context is not None and context.span_id is not None:
        ids["span_id"] = context.span_id
    return ids


def _add_exception(event: EventDict) -> None:
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error and not isinstance(error, BaseException):
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        event["error"] = type(error).__qualname__
        event["exception"] = "".join(traceback.format_exception(error)).rstrip()


def _render_json(_logger: Any, _method: str, entry: EventDict) -> str:
    return encode(entry)


def _console(stream: TextIO) -> Processor:
    """Lines for people. Only a traceback takes more than one, and its lines are indented, so that none can pose as an event."""
    from structlog.dev import ConsoleRenderer, plain_traceback

    render = ConsoleRenderer(colors=stream.isatty(), timestamp_key="time", sort_keys=False, exception_formatter=plain_traceback)

    def console(logger: Any, method: str, entry: EventDict) -> str:
        shown = {_printable(name): _printable(value) for name, value in entry.items() if name not in _NOT_ON_CONSOLE}
        if isinstance(error := entry.get("exception"), str):
            shown["exception"] = "\n".join(f"    {_printable(line)}" for line in error.split("\n"))
        return render(logger, method, shown)

    return console


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), value)
    if isinstance(value, dict | list):
        return encode(value)
    return value


def _is_plain(handler: logging.Handler) -> bool:
    terminals = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    return type(handler) is logging.StreamHandler and handler.stream in terminals


def _level(level: int | str) -> int:
    if isinstance(level, int):
        return level
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        raise ValueError(f"level: {level!r} is not one of {', '.join(sorted(known))}")
    return known[level.upper()]
