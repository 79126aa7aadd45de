"""Every record becomes one line of one format, with the ids of its request and without secrets."""

import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from fastness import audit
from fastness.context import RequestContext, within
from fastness.telemetry import logs

Configure = Callable[..., Any]


def test_structlog_and_stdlib_records_have_one_form(configure: Configure) -> None:
    """The same fields come out whichever way something was logged."""
    log = configure(service="relay", version="1.2")
    structlog.get_logger("a").info("accepted", count=3)
    logging.getLogger("a").info("accepted", extra={"count": 3})
    first, second = log.entries
    assert list(first) == ["time", "level", "logger", "event", "service", "version", "count"]
    assert {**first, "time": ""} == {**second, "time": ""}
    assert {**first, "time": ""} == {
        "time": "",
        "level": "info",
        "logger": "a",
        "event": "accepted",
        "service": "relay",
        "version": "1.2",
        "count": 3,
    }


def test_stamps_are_rfc_3339_in_utc() -> None:
    """Times are in UTC, to the millisecond, and never rounded up into another second."""
    assert logs.stamp(0) == "1970-01-01T00:00:00.000Z"
    assert logs.stamp(1_700_000_000.9996) == "2023-11-14T22:13:20.999Z"


def test_arguments_are_filled_in(configure: Configure) -> None:
    """Positional arguments become part of the event, as both libraries have it."""
    log = configure()
    logging.getLogger("a").info("%s of %d", "one", 2)
    structlog.get_logger("a").info("%s of %d", "one", 2)
    assert [entry["event"] for entry in log.entries] == ["one of 2"] * 2


def test_lines_carry_the_ids_of_their_request(configure: Configure) -> None:
    """Request id, trace, principal and tenant are on every line that is logged in the course of a request."""
    log = configure()
    context = RequestContext(request_id="r-1", trace_id="a" * 32, span_id="b" * 16)
    context.principal, context.tenant = "ada", "acme"
    with within(context):
        logging.getLogger("a").info("inside")
    logging.getLogger("a").info("outside")
    inside, outside = log.entries
    ids = {"request_id": "r-1", "trace_id": "a" * 32, "span_id": "b" * 16, "principal": "ada", "tenant": "acme"}
    assert ids.items() <= inside.items()
    assert not ids.keys() & outside.keys()


def test_lines_carry_the_ids_of_their_span(configure: Configure) -> None:
    """Where a span records, its ids are those of the line."""
    log = configure()
    with TracerProvider().get_tracer("t").start_as_current_span("work") as span:
        logging.getLogger("a").info("traced")
    assert log.last["trace_id"] == f"{span.get_span_context().trace_id:032x}"
    assert log.last["span_id"] == f"{span.get_span_context().span_id:016x}"
    with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True))):
        logging.getLogger("a").info("not traced")
    assert "trace_id" not in log.last


def test_bound_values_are_on_stdlib_lines_too(configure: Configure) -> None:
    """What was bound to structlog's context variables is on every line."""
    log = configure()
    with structlog.contextvars.bound_contextvars(job="j-1"):
        logging.getLogger("a").info("stdlib")
        structlog.get_logger("a").info("structlog")
    assert [entry["job"] for entry in log.entries] == ["j-1", "j-1"]


@pytest.mark.parametrize("get", [logging.getLogger, structlog.get_logger])
def test_an_exception_is_one_field(configure: Configure, get: Callable[[str], Any]) -> None:
    """A traceback is one field of one line, without the secrets in its message."""
    log = configure()
    try:
        raise ValueError("cannot reach postgres://app:hunter22@db/app")
    except ValueError:
        get("a").exception("failed")
    assert len(log.lines) == 1
    assert log.last["error"] == "ValueError"
    assert log.last["exception"].startswith("Traceback (most recent call last)")
    assert log.last["exception"].endswith("ValueError: cannot reach postgres://app:[redacted]@db/app")


def test_an_exception_can_be_handed_over(configure: Configure) -> None:
    """`exc_info` takes an exception as well, and nothing where there is none."""
    log = configure()
    logging.getLogger("a").error("failed", exc_info=KeyError("k"))
    structlog.get_logger("a").error("failed", exc_info=KeyError("k"))
    structlog.get_logger("a").error("failed", exc_info=True)
    assert [entry.get("error") for entry in log.entries] == ["KeyError", "KeyError", None]


def test_secrets_are_redacted(configure: Configure) -> None:
    """Secrets go from fields and from messages, also by the names that the service adds."""
    log = configure(redact=["iban"])
    structlog.get_logger("a").info("login with Bearer abcdefgh12345", password="p", nested={"API-Key": "k"}, iban="DE00")
    assert log.last["event"] == "login with Bearer [redacted]"
    assert (log.last["password"], log.last["nested"], log.last["iban"]) == (
        "[redacted]",
        {"API-Key": "[redacted]"},
        "[redacted]",
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(text=st.text(st.characters(codec="utf-8", categories=("Cc", "Zl", "Zp", "L", "P"))), json_like=st.booleans())
@pytest.mark.parametrize("form", ["json", "console"])
def test_nobody_can_forge_a_line(configure: Configure, form: str, text: str, json_like: bool) -> None:
    """Whatever a message, a field's name or a field's value contains, one event is one line without control characters."""
    log = configure(format=form)
    hostile = f'{text}\r\n{{"level":"error","event":"forged"}}\x1b[2J\u2028' if json_like else text + "\n"
    structlog.get_logger("a").info(hostile, field=hostile, **{hostile or "x": 1})
    logging.getLogger("a").info("%s", hostile)
    written = log.stream.getvalue()
    assert written.count("\n") == 2
    assert all(line.replace(" ", "").isprintable() for line in written.split("\n"))


def test_on_a_console_only_a_traceback_has_lines_of_its_own(configure: Configure) -> None:
    """The lines of a traceback are indented, so that the text of an exception cannot pose as an event."""
    log = configure(format="console")
    try:
        raise ValueError("x\n2026-01-01T00:00:00.000Z [info     ] forged\x1b[0m")
    except ValueError:
        logging.getLogger("a").exception("failed")
    first, *others = log.lines
    assert "failed" in first
    assert all(line.startswith("    ") for line in others)
    assert any(line.startswith("    2026-01-01T00:00:00.000Z [info     ] forged\\x1b[0m") for line in others)


def test_no_field_stands_in_for_the_line_s_own(configure: Configure) -> None:
    """Time, level, logger and event are those of the record, whatever fields were given."""
    log = configure(service="relay")
    structlog.get_logger("a").info("real", time="never", level="debug", logger="b", service="other")
    assert log.last["time"].startswith("20")
    assert (log.last["level"], log.last["logger"], log.last["service"]) == ("info", "a", "relay")


def test_audit_events_are_a_category_of_their_own(configure: Configure) -> None:
    """The facts of an audit event are fields of the line, next to `category`."""
    log = configure()
    audit.record("auth.refuse", reason="expired", token="t")
    assert {"category": "audit", "action": "auth.refuse", "outcome": "denied", "reason": "expired"}.items() <= log.last.items()
    assert log.last["token"] == "[redacted]"
    assert log.last["level"] == "warning"
    assert "audit" not in log.last


def test_a_change_of_level_is_audited(configure: Configure) -> None:
    """`set_level` takes effect at once, and says what it was before."""
    log = configure(level="WARNING")
    logging.getLogger("a").info("not shown")
    logs.set_level("DEBUG")
    logging.getLogger("a").debug("shown")
    changed, shown = log.entries
    assert {
        "action": "log.level",
        "outcome": "changed",
        "target": "root",
        "old": "WARNING",
        "new": "DEBUG",
    }.items() <= changed.items()
    assert shown["event"] == "shown"


def test_one_logger_can_have_a_level_of_its_own(configure: Configure) -> None:
    """`set_level` can name a logger."""
    log = configure()
    logs.set_level("ERROR", logger="a")
    logging.getLogger("a").warning("not shown")
    assert log.last["target"] == "a"


@pytest.mark.parametrize(("options", "match"), [({"format": "xml"}, "'xml'"), ({"level": "LOUD"}, "'LOUD'")])
def test_unknown_settings_are_refused(configure: Configure, options: dict[str, Any], match: str) -> None:
    """A format or level that does not exist is an error that names it, and changes nothing."""
    before = logging.root.handlers[:]
    with pytest.raises(ValueError, match=match):
        configure(**options)
    assert logging.root.handlers == before


def test_urls_of_outbound_calls_are_not_logged(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients name the whole URL of each call at INFO; a level that somebody chose for them stands."""
    clients = [logging.getLogger(name) for name in ("httpx2", "httpcore2")]
    for client in clients:
        monkeypatch.setattr(client, "level", logging.NOTSET)
    configure()
    assert [client.level for client in clients] == [logging.WARNING] * 2
    monkeypatch.setattr(clients[0], "level", logging.DEBUG)
    configure()
    assert clients[0].level == logging.DEBUG


def test_servers_are_adopted(configure: Configure) -> None:
    """uvicorn's messages are written like all others, and its access log is off."""
    for name in ("uvicorn", "uvicorn.access"):
        logging.getLogger(name).addHandler(logging.StreamHandler())
    logging.getLogger("uvicorn").propagate = False
    log = configure()
    logging.getLogger("uvicorn.error").info("Started server process [%d]", 7, extra={"color_message": "Started"})
    logging.getLogger("uvicorn.access").info("GET / 200")
    assert [entry["event"] for entry in log.entries] == ["Started server process [7]"]
    assert "color_message" not in log.last
    # uvicorn asks this of every connection, and formats nothing when it is told no.
    assert not logging.getLogger("uvicorn.access").hasHandlers()


def test_configuring_again_takes_the_place_of_the_first(configure: Configure) -> None:
    """Two calls do not write twice; a plain handler on the terminal goes, and any other stays."""
    plain, other = logging.StreamHandler(sys.stderr), logging.NullHandler()
    logging.root.addHandler(plain)
    logging.root.addHandler(other)
    first, second = configure(), configure()
    logging.getLogger("a").info("once")
    assert (len(first.lines), len(second.lines)) == (0, 1)
    assert plain not in logging.root.handlers
    assert other in logging.root.handlers


def test_warnings_are_logged(configure: Configure) -> None:
    """A Python warning is a line like any other."""
    log = configure()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(capture=False)
    assert log.last["logger"] == "py.warnings"
    assert "old thing" in log.last["event"]


def test_a_stream_that_is_gone_fails_nobody(configure: Configure) -> None:
    """A line that cannot be written is lost and counted; whoever logged goes on."""
    log = configure()
    output = logs.output()
    assert output is not None
    lost = output._lost._value.get()
    log.stream.close()
    output.write("{}\n")
    assert output._lost._value.get() == lost + 1


def test_a_record_that_cannot_be_written_is_counted_and_told(configure: Configure, capsys: pytest.CaptureFixture[str]) -> None:
    """Arguments that do not fit their text fail nobody either; where they come from is on standard error."""
    log = configure()
    output = logs.output()
    assert output is not None
    lost = output._lost._value.get()
    # Not through a logger: pytest's own handler, which stands beside ours, would raise.
    output.handle(logging.makeLogRecord({"msg": "%d items", "args": ("many",)}))
    assert log.entries == []
    assert output._lost._value.get() == lost + 1
    assert "Message: '%d items'" in capsys.readouterr().err
