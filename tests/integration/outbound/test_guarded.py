"""URLs that users give, called through real sockets: where a connection goes is decided when it is made."""

import asyncio
import datetime
import gzip
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from fastness.outbound import (
    ForbiddenTargetError,
    Guard,
    ResponseTooLargeError,
    Retries,
    UnreachableError,
    UpstreamTimeoutError,
)

from .conftest import answer, hang, serving


def resolving(*answers):
    """A name server that gives each answer once, and the last for ever."""
    left = list(answers)

    async def resolve(host, port):
        return left.pop(0) if len(left) > 1 else left[0]

    return resolve


def local(*answers, **options):
    """A guard that lets one address of this machine pass for the internet."""
    return Guard(schemes=["http", "https"], ports=None, allow=["127.0.0.1"], resolve=resolving(*answers), **options)


async def test_the_host_is_named_and_the_checked_address_connected_to(opened):
    """`Host` is what the URL says."""
    async with serving() as server:
        upstream = await opened(guard=local(["127.0.0.1"]))
        assert (await upstream.request("POST", f"http://hooks.example:{server.port}/a?b", content=b"x")).status_code == 200
    [(first, headers, body)] = server.requests
    assert (first, headers["host"], body) == ("POST /a?b HTTP/1.1", f"hooks.example:{server.port}", b"x")


async def test_a_name_cannot_change_its_mind(opened):
    """It is resolved once for each connection, and what was checked is what is connected to."""
    asked = []

    async def rebinding(host, port):
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    guard = Guard(schemes=["http"], ports=None, allow=["127.0.0.1"], resolve=rebinding)
    async with serving(answer(200, connection="close")) as server:
        upstream = await opened(guard=guard)
        url = f"http://rebinding.example:{server.port}/"
        assert (await upstream.request("GET", url)).status_code == 200
        with pytest.raises(ForbiddenTargetError):
            await upstream.request("GET", url)
    assert (len(asked), len(server.requests)) == (2, 1)


async def test_an_address_that_does_not_answer_is_passed_over(opened):
    """As with any name of several addresses; those that are not allowed are never tried."""
    async with serving() as server:
        upstream = await opened(guard=local(["10.0.0.1", "::1", "127.0.0.1"]))
        assert (await upstream.request("GET", f"http://many.example:{server.port}/")).status_code == 200


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.2:{port}/",
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.2]:{port}/",
        "http://0:{port}/",
        "http://0x7f.2:{port}/",
        "http://2130706434:{port}/",
        "http://user:secret@127.0.0.1:{port}/",
        "http://[",
        "ftp://127.0.0.1:{port}/",
        "/relative",
    ],
)
async def test_nothing_is_sent_inside(opened, url):
    """By no spelling. The error tells the caller, and neither address nor credentials stand in it."""
    async with serving() as server:
        upstream = await opened(
            guard=Guard(
                schemes=["http"], ports=None, allow=["127.0.0.1"], deny=["127.0.0.2", "::1"], resolve=resolving(["127.0.0.2"])
            )
        )
        with pytest.raises(ForbiddenTargetError) as caught:
            await upstream.request("GET", url.format(port=server.port))
    assert (caught.value.attempts, server.connections) == (0, 0)
    assert "secret" not in str(caught.value)
    assert "127.0.0" not in str(caught.value)


async def test_a_stream_that_is_left_gives_its_connection_back(opened):
    """Also where nobody has read it to its end."""
    async with serving(answer(200, b"x" * 100_000)) as server:
        upstream = await opened(guard=local(["127.0.0.1"]), max_in_flight=1, retries=Retries(attempts=1), timeout=20)
        for _ in range(2):
            async with upstream.stream("GET", f"http://a.example:{server.port}/") as response:
                assert response.status_code == 200
    assert len(server.requests) == 2


async def test_a_redirect_inside_leads_nowhere(opened):
    """It is an answer like any other."""
    async with serving() as target, serving(answer(307, location=target.url)) as server:
        upstream = await opened(guard=local(["127.0.0.1"]))
        assert (await upstream.request("GET", f"http://a.example:{server.port}/")).status_code == 307
    assert target.connections == 0


async def test_a_name_that_does_not_resolve_is_unreachable(opened):
    """Whatever the resolver raises; that is not a matter of what is allowed."""

    async def fails(host, port):
        raise OSError("no such name")

    for guard in (Guard(resolve=fails), Guard(resolve=resolving([]))):
        with pytest.raises(UnreachableError):
            await (await opened(guard=guard, retries=Retries(attempts=1))).request("GET", "https://nowhere.example/")


async def test_a_name_server_that_hangs_ends_with_the_call(opened):
    """Resolving is part of the call's time."""

    async def slow(host, port):
        await asyncio.Event().wait()

    with pytest.raises(UpstreamTimeoutError):
        await (await opened(guard=Guard(resolve=slow), timeout=0.05)).request("GET", "https://slow.example/")


async def test_strangers_learn_nothing_of_the_request(opened):
    """Neither ids nor time are sent on, unless that is asked for; compression is declined."""
    async with serving() as server:
        url = f"http://a.example:{server.port}/"
        await (await opened(guard=local(["127.0.0.1"]))).request("GET", url)
        await (await opened(guard=local(["127.0.0.1"]), propagate=True)).request("GET", url)
    assert "x-request-timeout-ms" not in server.headers[0]
    assert "x-request-timeout-ms" in server.headers[1]
    assert server.headers[0]["accept-encoding"] == "identity"


@pytest.mark.parametrize("length", [True, False])
async def test_a_body_without_end_is_cut_off(opened, length):
    """Read whole or as a stream, with its length or without."""

    async def flood(reader, writer):
        writer.write(b"HTTP/1.1 200 OK\r\n" + (b"content-length: 1000000000\r\n\r\n" if length else b"\r\n"))
        while True:
            writer.write(b"0" * 10_000)
            await writer.drain()

    async with serving(flood) as server:
        upstream = await opened(guard=local(["127.0.0.1"]), max_response_bytes=50_000, timeout=60)
        url = f"http://a.example:{server.port}/"
        with pytest.raises(ResponseTooLargeError):
            await upstream.request("GET", url)
        with pytest.raises(ResponseTooLargeError):
            async with upstream.stream("GET", url) as response:
                async for _ in response.aiter_bytes():
                    pass


async def test_nothing_is_decompressed(opened):
    """It was declined: whoever sends it all the same is not read, and a stream gives what came."""
    bomb = gzip.compress(b"0" * 10_000_000)
    async with serving(answer(200, bomb, content_encoding="gzip")) as server:
        upstream = await opened(guard=local(["127.0.0.1"]))
        url = f"http://a.example:{server.port}/"
        with pytest.raises(ResponseTooLargeError):
            await upstream.request("GET", url)
        async with upstream.stream("GET", url) as response:
            assert b"".join([part async for part in response.aiter_bytes()]) == bomb


async def test_a_connection_that_hangs_ends_with_the_call(opened):
    """And is given back."""
    async with serving(hang) as server:
        upstream = await opened(guard=local(["127.0.0.1"]), timeout=0.05, retries=Retries(attempts=1))
        with pytest.raises(UpstreamTimeoutError):
            await upstream.request("GET", f"http://a.example:{server.port}/")


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A certificate of its own authority for `hooks.example`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("hooks.example")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return path


async def test_tls_names_and_verifies_the_host(opened, certificate):
    """Although the connection goes to an address: the server sees the name, and another name's certificate is refused."""
    names = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda socket, name, _: names.append(name)
    trusting = ssl.create_default_context(cafile=certificate)

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer(200, b"secure", connection="close"))
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    port = listener.sockets[0].getsockname()[1]
    try:
        upstream = await opened(guard=local(["127.0.0.1"]), tls=trusting, retries=Retries(attempts=1))
        assert (await upstream.request("GET", f"https://hooks.example:{port}/")).text == "secure"
        with pytest.raises(UnreachableError):
            await upstream.request("GET", f"https://other.example:{port}/")
    finally:
        listener.close()
    assert names == ["hooks.example", "other.example"]
