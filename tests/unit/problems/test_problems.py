"""The error envelope, from exceptions to documents."""

import json
import logging
from typing import Annotated, Any, Literal

import pytest
from fastapi import APIRouter, Body, FastAPI, HTTPException, Query
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse

from fastness import problems
from fastness._asgi import Receive, Scope, Send
from fastness.context import ContextMiddleware
from fastness.problems import Problem, ProblemMiddleware, ProblemType
from fastness.problems.handlers import validation_errors
from fastness.testing.asgi import Response, request

GONE = ProblemType("urn:problem-type:test:sold-out", "Sold out", 409, "Nothing is left.")
AWAY = ProblemType("urn:problem-type:test:away", "Away", 503, retry_after=5)


class DomainError(Exception):
    """What a domain raises."""


class SoldOutError(DomainError):
    def __init__(self, left: int) -> None:
        super().__init__(f"only {left} left")
        self.extensions = {"left": left}


class BackendError(Exception):
    """Its text is not for clients."""


class AwayError(Exception):
    """A moment later it may be there again."""


class Cat(BaseModel):
    kind: Literal["cat"]


class Dog(BaseModel):
    kind: Literal["dog"]


class Order(BaseModel):
    model_config = ConfigDict(extra="forbid")

    password: str = Field(max_length=5)
    count: int = 1
    lines: list[int] = []
    pet: Annotated[Cat | Dog, Field(discriminator="kind")] | None = None

    @field_validator("count")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError("count must be at least 1")
        return value


def service() -> FastAPI:
    app = FastAPI(
        middleware=[Middleware(ContextMiddleware), Middleware(ProblemMiddleware)],
        exception_handlers=problems.handlers(
            {
                DomainError: 404,
                SoldOutError: GONE,
                BackendError: ProblemType("about:blank", "Bad Gateway", 502),
                AwayError: AWAY,
            }
        ),
    )

    @app.get("/raise/{what}")
    async def raises(what: str) -> None:
        errors: dict[str, Exception] = {
            "http": HTTPException(418, "short and stout", {"X-Tea": "green"}),
            "plain": HTTPException(403),
            "structured": HTTPException(400, {"field": "a"}),
            "domain": DomainError("no such thing"),
            "subclass": SoldOutError(3),
            "backend": BackendError("password=hunter2"),
            "problem": Problem(GONE, "sold", headers={"Retry-After": "9"}, left=0),
            "away": AwayError("hunter2"),
            "away for long": Problem(AWAY, headers={"retry-after": "60"}),
            "unhandled": RuntimeError("password=hunter2"),
            "redirect": HTTPException(304),
        }
        raise errors[what]

    @app.post("/orders")
    async def order(order: Annotated[Order, Body()], page: Annotated[int, Query(ge=1)] = 1) -> None: ...

    return app


def document(response: Response, status: int) -> dict[str, Any]:
    """The problem document, which has the shape that every one has."""
    assert response.status == status
    assert response.headers["content-type"] == "application/problem+json"
    found: dict[str, Any] = response.json()
    assert found["status"] == status
    assert found["request_id"] == response.headers["x-request-id"]
    return found


async def test_an_http_exception_becomes_a_problem() -> None:
    """Status, detail and headers of an HTTPException are kept."""
    response = await request(service(), "/raise/http")
    assert document(response, 418)["detail"] == "short and stout"
    assert document(response, 418)["type"] == "about:blank"
    assert response.headers["x-tea"] == "green"


async def test_a_status_that_says_it_all_has_no_detail() -> None:
    """The phrase of a status is its title, and is not said twice."""
    found = document(await request(service(), "/raise/plain"), 403)
    assert found["title"] == "Forbidden"
    assert "detail" not in found


async def test_structured_detail_becomes_errors() -> None:
    """FastAPI's HTTPException may carry any JSON value; `detail` is a string in RFC 9457."""
    assert document(await request(service(), "/raise/structured"), 400)["errors"] == {"field": "a"}


async def test_domain_exceptions_have_their_declared_status() -> None:
    """A subclass that is not declared is covered by its base, one that is by itself."""
    found = document(await request(service(), "/raise/domain"), 404)
    assert (found["title"], found["detail"]) == ("Not Found", "no such thing")
    found = document(await request(service(), "/raise/subclass"), 409)
    assert (found["type"], found["detail"], found["left"]) == ("urn:problem-type:test:sold-out", "only 3 left", 3)


async def test_the_text_of_a_server_error_stays_inside(caplog: pytest.LogCaptureFixture) -> None:
    """A 5xx carries no exception text, whether declared or not; the log has it."""
    for what, status in (("backend", 502), ("unhandled", 500)):
        caplog.clear()
        response = await request(service(), f"/raise/{what}")
        assert b"hunter2" not in response.body
        assert "detail" not in document(response, status)
        assert any(record.exc_info and "hunter2" in str(record.exc_info[1]) for record in caplog.records)


async def test_a_raised_problem_is_sent_as_it_is() -> None:
    """Type, detail, extensions and headers."""
    response = await request(service(), "/raise/problem")
    found = document(response, 409)
    assert (found["detail"], found["left"], response.headers["retry-after"]) == ("sold", 0, "9")


async def test_a_type_says_when_to_try_again() -> None:
    """`retry_after` is sent with every occurrence, a mapped exception's too, except where an occurrence knows better."""
    for what, seconds in (("away", ["5"]), ("away for long", ["60"]), ("subclass", [])):
        response = await request(service(), f"/raise/{what}")
        assert response.headers.getlist("retry-after") == seconds
    with pytest.raises(ValueError, match="retry_after=-1"):
        ProblemType("urn:problem-type:test:past", "Past", 503, retry_after=-1)


async def test_what_will_be_over_soon_is_logged_in_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """While a database is away, each request meets its error: the cause is logged each time, a traceback never."""
    for what, traced in (("away", False), ("backend", True)):
        caplog.clear()
        await request(service(), f"/raise/{what}")
        (record,) = (one for one in caplog.records if one.name == "fastness.problems")
        assert record.levelno == logging.ERROR
        assert "hunter2" in record.getMessage()
        assert bool(record.exc_info) is traced


async def test_leaving_early_without_an_error_is_no_problem() -> None:
    """An HTTPException below 400 stays what it is."""
    response = await request(service(), "/raise/redirect")
    assert (response.status, response.body) == (304, b"")


async def test_unknown_paths_and_methods_are_problems() -> None:
    """404 and 405 have the envelope too; a 405 says what is allowed."""
    document(await request(service(), "/nowhere"), 404)
    response = await request(service(), "/orders", method="DELETE")
    document(response, 405)
    assert response.headers["allow"] == "POST"


async def test_a_405_allows_what_all_routes_of_the_path_do() -> None:
    """Not only the first of them (RFC 9110, 15.5.6): routers included anywhere, and other paths are not asked."""
    app = FastAPI(exception_handlers=problems.handlers())

    async def endpoint() -> None: ...

    items = APIRouter(prefix="/items")
    for method in ("POST", "GET"):
        items.add_api_route("", endpoint, methods=[method])
    items.add_api_route("/{item}", endpoint, methods=["DELETE"])
    app.include_router(items, prefix="/v1")
    app.add_api_route("/v1/{name}", endpoint, methods=["PATCH"])
    app.mount("/below", FastAPI())
    allowed = {path: await request(app, path, method="PUT") for path in ("/v1/items", "/v1/items/1", "/v1/other")}
    assert {path: response.headers["allow"] for path, response in allowed.items()} == {
        "/v1/items": "GET, PATCH, POST",
        "/v1/items/1": "DELETE",
        "/v1/other": "PATCH",
    }


async def test_a_405_of_the_endpoint_itself_is_kept() -> None:
    """It knows better than its route what may be done with the thing at hand."""
    app = FastAPI(exception_handlers=problems.handlers())

    @app.put("/locked")
    async def locked() -> None:
        raise HTTPException(405, headers={"Allow": "GET", "X-Lock": "1"})

    app.add_api_route("/locked", locked, methods=["DELETE"])
    response = await request(app, "/locked", method="PUT")
    assert (response.status, response.headers["allow"], response.headers["x-lock"]) == (405, "GET", "1")


async def send_order(body: bytes, query: str = "") -> Response:
    headers = {"content-type": "application/json"}
    return await request(service(), "/orders", method="POST", query=query, body=body, headers=headers)


async def test_a_validation_problem_says_where_and_why_but_not_what() -> None:
    """Location and JSON Pointer of each error; nothing of the input."""
    response = await send_order(b'{"password": "hunter2-secret", "lines": [1, "x9y8"], "count": 0, "a/b~c": 1}', "page=0")
    found = document(response, 422)
    assert found["type"] == "urn:problem-type:fastness:validation"
    errors = {(error["location"], error["pointer"]): error["type"] for error in found["errors"]}
    assert errors == {
        ("query", "/page"): "greater_than_equal",
        ("body", "/password"): "string_too_long",
        ("body", "/lines/1"): "int_parsing",
        ("body", "/count"): "value_error",
        ("body", "/a~1b~0c"): "extra_forbidden",
    }
    assert b"hunter2" not in response.body
    assert b"x9y8" not in response.body


async def test_messages_that_quote_the_input_are_replaced() -> None:
    """Pydantic's text for an unknown tag or bad JSON contains what was sent; ours does not."""
    response = await send_order(b'{"password": "a", "pet": {"kind": "hunter2"}}')
    assert b"hunter2" not in response.body
    assert document(response, 422)["errors"][0]["type"] == "union_tag_invalid"
    response = await send_order(b'{"password": hunter2}')
    assert b"hunter2" not in response.body
    assert document(response, 422)["errors"][0]["type"] == "json_invalid"


async def test_a_body_that_is_no_json_is_told_where_it_breaks() -> None:
    """FastAPI gives the position where a name belongs, and a pointer to it would point to a member that is not there."""
    response = await send_order(b'{"password": }')
    assert document(response, 422)["errors"] == [
        {"location": "body", "pointer": "", "type": "json_invalid", "message": "Invalid JSON at character 14"}
    ]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b'{"password": "\xff\xfe"}', "The body is not valid UTF-8."),
        (b'{"lines": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "The body is nested too deep."),
        (b'{"count": ' + b"9" * 5_000 + b"}", "The body has a number of too many digits."),
    ],
)
async def test_a_body_that_cannot_be_read_is_told_why(body: bytes, detail: str) -> None:
    """FastAPI says of all of them that there was an error, which helps nobody to mend it."""
    assert document(await send_order(body), 400)["detail"] == detail


async def test_a_400_of_the_app_keeps_its_words() -> None:
    """Also when what it was raised from is one of the errors that FastAPI raises it from."""
    app = FastAPI(middleware=[Middleware(ContextMiddleware)], exception_handlers=problems.handlers())

    @app.get("/")
    async def refuse() -> None:
        raise HTTPException(400, "no such colour") from ValueError("hidden")

    assert document(await request(app, "/"), 400)["detail"] == "no such colour"


async def test_a_body_that_does_not_say_it_is_json_is_a_415() -> None:
    """FastAPI would validate the raw bytes and report a type error; the cause is the Content-Type."""
    for headers in ({"content-type": "text/plain"}, {}):
        response = await request(service(), "/orders", method="POST", headers=headers, body=b'{"password": "a"}')
        assert document(response, 415)["type"] == "urn:problem-type:fastness:media-type-unsupported"
        assert response.headers["accept"] == "application/json"
    response = await request(service(), "/orders", method="POST", query="page=0", headers={"content-type": "text/plain"})
    assert document(response, 422)


async def test_one_bad_request_cannot_make_us_write_much() -> None:
    """Errors are counted past a bound, names are cut."""
    body = json.dumps({"password": "a", "lines": ["x"] * 500, "k" * 5000: 1}).encode()
    response = await send_order(body)
    found = document(response, 422)
    assert len(found["errors"]) == 50
    assert found["omitted"] == 451
    assert len(response.body) < 20_000


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/problem+json"),
        ("*/*", "application/problem+json"),
        ("application/json", "application/json"),
        ("application/json;q=0.9, text/html", "application/json"),
        ("application/json, application/problem+json", "application/problem+json"),
        ("text/html", "application/problem+json"),
        ("\xff;;;,", "application/problem+json"),
    ],
)
async def test_the_answer_is_json_whatever_is_asked_for(accept: str | None, media_type: str) -> None:
    """problem+json, or plain JSON for a client that takes only that."""
    headers = {"accept": accept} if accept else {}
    for path in ("/nowhere", "/raise/unhandled"):
        response = await request(service(), path, headers=headers)
        assert response.headers["content-type"] == media_type
        assert response.json()["status"] == response.status


async def test_an_error_in_other_middleware_is_a_problem_too() -> None:
    """What a middleware around ours raises gets the envelope, and the server still learns of it."""

    class Broken:
        def __init__(self, app: Any) -> None: ...

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            raise RuntimeError("hunter2")

    app = service()
    app.add_middleware(Broken)
    response = await request(app, raise_errors=False)
    assert response.status == 500
    assert response.json()["title"] == "Internal Server Error"
    assert isinstance(response.error, RuntimeError)


async def test_the_catch_all_leaves_a_started_response_alone(caplog: pytest.LogCaptureFixture) -> None:
    """After the start there is nothing to answer: the error is logged and raised again."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise LookupError("late")

    with caplog.at_level(logging.ERROR):
        response = await request(ProblemMiddleware(app), raise_errors=False)
    assert isinstance(response.error, LookupError)
    assert response.status == 200
    assert "unhandled error" in caplog.text


async def test_the_catch_all_can_be_used_alone() -> None:
    """Without any other layer, and without FastAPI."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("hunter2")

    response = await request(ProblemMiddleware(app))
    assert response.json() == {"type": "about:blank", "title": "Internal Server Error", "status": 500}
    assert (await request(ProblemMiddleware(PlainTextResponse("ok")))).text == "ok"


async def test_an_error_is_recorded_on_the_span() -> None:
    """A 500 that the layer answers is still visible in the trace."""
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise LookupError("late")

    with provider.get_tracer("test").start_as_current_span("request"):
        await ProblemMiddleware(app)(
            {"type": "http", "path": "/", "method": "GET", "headers": []},
            None,  # type: ignore[arg-type]
            _drop,
        )
    (span,) = exporter.get_finished_spans()
    assert [event.name for event in span.events] == ["exception"]


def test_malformed_declarations_are_refused() -> None:
    """A problem is an error status, and its extensions do not hide the standard members."""
    with pytest.raises(ValueError, match="status 200"):
        ProblemType("about:blank", "OK", 200)
    with pytest.raises(ValueError, match="'status'"):
        Problem(404, status=500)
    with pytest.raises(ValueError, match="status 302"):
        problems.handlers({DomainError: 302})


@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "loc": st.lists(st.text() | st.integers(), max_size=4).map(tuple),
                "type": st.sampled_from(["missing", "union_tag_invalid", "json_invalid"]),
                "msg": st.text(),
                "input": st.just("hunter2"),
                "ctx": st.just({"error": ValueError("hunter2")}),
            }
        ),
        max_size=60,
    )
)
def test_any_list_of_errors_can_be_shown(errors: list[dict[str, Any]]) -> None:
    """Whatever Pydantic reports is bounded, is JSON, and shows neither input nor context."""
    shown = list(validation_errors(errors))
    assert len(shown) <= 50
    for error, source in zip(shown, errors, strict=False):
        assert set(error) == {"location", "pointer", "type", "message"}
        assert len(error["location"]) <= 100
        assert "hunter2" not in json.dumps(error) or "hunter2" in str(source["msg"]) + str(source["loc"])


async def _drop(message: Any) -> None:
    pass
