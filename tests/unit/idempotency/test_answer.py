"""What of a response is stored, and what comes back of it."""

import pytest
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from hypothesis import given
from hypothesis import strategies as st
from starlette.responses import Response

from fastness.idempotency.answer import HEADERS, Answer

HEADER_TEXT = st.text(st.characters(min_codepoint=0, max_codepoint=255), max_size=20)


def test_an_answer_is_the_response_with_chosen_headers():
    """Status, body and what describes them are kept; what belongs to one client or one exchange is not."""
    response = JSONResponse({"id": 1}, 201, {"Location": "/orders/1", "X-Mine": "m", "Date": "today", "ETag": '"1"'})
    response.set_cookie("session", "secret")
    answer = Answer.of(response, headers=HEADERS | {"x-mine"}, max_bytes=100)
    assert (answer.status, answer.body) == (201, b'{"id":1}')
    assert dict(answer.headers) == {
        "location": "/orders/1",
        "x-mine": "m",
        "etag": '"1"',
        "content-type": "application/json",
    }


def test_a_replay_is_the_same_response_and_says_so():
    """The response made of an answer has its status, headers and body, its length, and `Idempotent-Replayed`."""
    replay = Answer(201, (("content-type", "text/plain"), ("link", "<a>"), ("link", "<b>")), b"done").replay()
    assert (replay.status_code, replay.body) == (201, b"done")
    assert sorted(replay.headers.items()) == [
        ("content-length", "4"),
        ("content-type", "text/plain"),
        ("idempotent-replayed", "true"),
        ("link", "<a>"),
        ("link", "<b>"),
    ]


def test_an_answer_without_a_body():
    """A 204 comes back without a length."""
    replay = Answer.of(Response(status_code=204), max_bytes=0).replay()
    assert (replay.status_code, replay.body) == (204, b"")
    assert "content-length" not in replay.headers


@pytest.mark.parametrize("response", [StreamingResponse(iter([b"a"])), FileResponse(__file__)])
def test_what_streams_cannot_be_stored(response):
    """A response whose body is made while it is sent is refused, with what to do."""
    with pytest.raises(RuntimeError, match="return the whole body"):
        Answer.of(response, max_bytes=100)


def test_a_long_body_is_refused():
    """A body over the bound is refused, with what to do; one of that length is not."""
    assert Answer.of(Response(b"12345"), max_bytes=5).body == b"12345"
    with pytest.raises(RuntimeError, match=r"6 bytes.*max_answer"):
        Answer.of(Response(b"123456"), max_bytes=5)


@given(
    status=st.integers(200, 399),
    headers=st.lists(st.tuples(HEADER_TEXT, HEADER_TEXT), max_size=5).map(tuple),
    body=st.binary(max_size=100),
)
def test_one_value_and_back(status, headers, body):
    """An answer comes back from its encoding as it was, also with line ends where there should be none."""
    answer = Answer(status, headers, body)
    assert Answer.decode(answer.encode()) == answer
