"""Which addresses requests may go to. Checked on the address that is connected to, so that no name can change its mind."""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable, Sequence
from typing import Any

import httpcore2

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class ForbiddenAddress(Exception):
    """A host has no address that requests may go to."""


def parse_networks(networks: Iterable[str]) -> tuple[Network, ...]:
    """Networks from text.

    Raises:
        ValueError: one of them is not a network.
    """
    return tuple(ipaddress.ip_network(network) for network in networks)


def is_public(address: Address) -> bool:
    """Whether an address is on the internet: not private, loopback, link-local (cloud metadata), multicast or reserved.

    An IPv6 address that carries an IPv4 address is as public as that one.
    """
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast and not address.is_reserved


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to public addresses and to those in `allowed`, and to no other.

    The name is resolved once and the connection goes to the address that was checked. TLS still names and verifies the host.
    """

    def __init__(self, allowed: Sequence[Network] = ()) -> None:
        self._allowed = allowed
        self._backend = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of httpcore2
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect.

        Raises:
            ForbiddenAddress: none of the host's addresses is allowed.
        """
        addresses = [address for address in await _resolve(host, port) if self._allows(address)]
        if not addresses:
            raise ForbiddenAddress(host)
        error: Exception | None = None
        for address in addresses:
            try:
                return await self._backend.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failure:
                error = failure
        raise error or httpcore2.ConnectError(host)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature of httpcore2
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Refuse: no URL leads here."""
        raise ForbiddenAddress(path)

    async def sleep(self, seconds: float) -> None:
        """As httpcore2 asks of a backend."""
        await self._backend.sleep(seconds)

    def _allows(self, address: Address) -> bool:
        return is_public(address) or any(address in network for network in self._allowed)


async def _resolve(host: str, port: int) -> list[Address]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # no such name, or one that cannot be written in DNS
        raise httpcore2.ConnectError(str(error)) from error
    # Without the scope of a link-local address, which is refused anyway.
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
