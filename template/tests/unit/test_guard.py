"""Which addresses requests may go to."""

import ipaddress

import httpcore2
import httpx2
import pytest

from app.infra.http.guard import ForbiddenAddress, GuardedBackend, is_public, parse_networks
from app.infra.http.sender import GuardedTransport

INTERNAL = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "fc00::1",
    "fe80::1",
    "ff02::1",
    "fd00:ec2::254",
]


@pytest.mark.parametrize("address", INTERNAL)
def test_addresses_inside_are_not_public(address: str) -> None:
    """Private, loopback, link-local, metadata, multicast, reserved, and IPv4 ones in IPv6 clothes."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "64:ff9b::101:101"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    """Those are what webhooks are for."""
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0", "169.254.169.254", "[::1]", "2130706433"])
async def test_the_client_connects_to_no_internal_address(host: str) -> None:
    """Also by other spellings: the address that is connected to is what counts."""
    async with httpx2.AsyncClient(transport=GuardedTransport(())) as client:
        with pytest.raises((ForbiddenAddress, httpx2.ConnectError)):
            await client.post(f"http://{host}:9/")


async def test_a_name_is_refused_for_where_it_leads() -> None:
    """`localhost` is a name like any other."""
    with pytest.raises(ForbiddenAddress):
        await GuardedBackend().connect_tcp("localhost", 9)


async def test_allowed_networks_are_connected_to() -> None:
    """Nobody listens on that port, which is another matter."""
    with pytest.raises(httpcore2.ConnectError):
        await GuardedBackend(parse_networks(["127.0.0.0/8", "::1/128"])).connect_tcp("localhost", 9, timeout=60)


async def test_a_name_that_does_not_exist_is_unreachable() -> None:
    """Resolving fails as connecting does."""
    with pytest.raises(httpcore2.ConnectError):
        await GuardedBackend().connect_tcp("a" * 64 + ".example", 9)


async def test_no_unix_socket_is_opened() -> None:
    """A path is no address."""
    with pytest.raises(ForbiddenAddress):
        await GuardedBackend().connect_unix_socket("/run/docker.sock")


def test_a_malformed_network_is_refused() -> None:
    """At start, by name."""
    with pytest.raises(ValueError, match=r"10\.0\.0\.0/99"):
        parse_networks(["10.0.0.0/99"])
