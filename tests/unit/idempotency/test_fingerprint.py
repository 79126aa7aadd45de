"""Parts that are hashed together do not run into each other, and a request counts by what was asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from fastness.idempotency.fingerprint import digest, fingerprint
from fastness.testing import asgi

TEXTS = st.one_of(st.text(max_size=5), st.sampled_from(["", "1:", "-;", "0:"]))
PARTS = st.lists(st.one_of(st.none(), TEXTS), max_size=4)


@given(PARTS, PARTS)
def test_different_parts_have_different_digests(one, other):
    """Moving a character from one part to the next, or leaving a part out, changes the digest."""
    assert (digest(one) == digest(other)) == (one == other)
    assert len(digest(one)) == 32


def asked(*body, query="a=1", ends=True, **path):
    """A request with a body in parts, after which the client is gone."""
    parts = [{"type": "http.request", "body": part, "more_body": True} for part in body]
    if ends:
        parts[-1]["more_body"] = False
    waiting = iter([*parts, {"type": "http.disconnect"}])

    async def receive():
        return next(waiting)

    return Request(asgi.scope("/orders", method="POST", query=query, path_params=path), receive)


async def test_path_query_and_body_tell_requests_apart():
    """Another parameter, another query or another body is another request; how the body was cut up is not."""
    same = await fingerprint(asked(b"ab", b"c", shop="1"))
    assert same == await fingerprint(asked(b"abc", shop="1"))
    assert await fingerprint(asked(b"", a="1", b="2")) == await fingerprint(asked(b"", b="2", a="1"))
    for other in (asked(b"abd", shop="1"), asked(b"abc", shop="2"), asked(b"abc"), asked(b"abc", query="a=2", shop="1")):
        assert await fingerprint(other) != same


def form(kind, body):
    """A request whose form has been read, as FastAPI reads it before dependencies run."""
    request = asked(body)
    request.scope["headers"].append((b"content-type", kind.encode()))
    return request


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "application/x-www-form-urlencoded ; charset=utf-8"])
async def test_a_form_that_was_read_counts_by_its_fields(kind):
    """It is gone as bytes, and its fields tell one request from another."""

    async def of(body):
        request = form(kind, body)
        await request.form()
        return await fingerprint(request)

    same = await of(b"a=1&b=2")
    assert same == await of(b"a=%31&b=2")
    assert same not in {await of(body) for body in (b"a=1&b=3", b"a=1", b"b=2&a=1", b"a=1b=2")}


async def test_a_file_counts_whole_and_can_be_read_afterwards():
    """Wherever whoever had it before us stopped reading."""

    def photo(boundary, name, content):
        part = f'--{boundary}\r\nContent-Disposition: form-data; name="photo"; filename="{name}"\r\n\r\n'
        return form(f"multipart/form-data; boundary={boundary}", f"{part}{content}\r\n--{boundary}--\r\n".encode())

    async def of(*what):
        request = photo(*what)
        async with request.form() as fields:
            await fields["photo"].read(1)
            made = await fingerprint(request)
            assert await fields["photo"].read() == what[2].encode()
        return made

    same = await of("one", "p.png", "abc")
    assert same == await of("two", "p.png", "abc")
    assert same not in {await of("one", "q.png", "abc"), await of("one", "p.png", "bbc"), await of("one", "p.png", "abd")}


async def test_a_client_that_leaves_half_way_has_asked_for_nothing():
    """A body that is not complete has no fingerprint: it might be the beginning of another one."""
    with pytest.raises(HTTPException, match="not complete") as refused:
        await fingerprint(asked(b"ab", b"c", ends=False))
    assert refused.value.status_code == 400


async def test_a_body_that_is_gone_is_named():
    """What has read the body as a stream is told in which order to be listed."""
    request = asked(b"abc")
    assert [part async for part in request.stream()] == [b"abc", b""]
    with pytest.raises(RuntimeError, match="list Idempotent before"):
        await fingerprint(request)
