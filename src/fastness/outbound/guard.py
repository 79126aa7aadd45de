"""Which URLs a service may call when somebody else gives them: the rules against server-side request forgery (CWE-918).

What is checked here is the text of a URL, which tells a user early. The address is checked when connecting, in `_transport`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from fastness.outbound._addresses import Address, Network, embedded, is_public

if TYPE_CHECKING:
    import httpx2

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""Gives the addresses of a host for a port; `OSError` when there are none."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
# What DNS names are made of once IDNA has made them ASCII; underscores are seen in practice.
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*")
# A last label that resolvers take for a number, so that the whole is an address: 2130706433, 0x7f.1, 0177.0.0.1.
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)")


class ForbiddenURLError(ValueError):
    """Requests may not go there. The text says why in words that a user may see; it names no internal address."""


class Guard:
    """Keeps requests to URLs that users give away from what is inside: hand it to an `Upstream`.

    A request goes out only if the scheme and the port are allowed, there are no credentials in the URL, and the address that
    is connected to is on the internet. The name is resolved once and the connection goes to an address that was checked, so
    that a name cannot change its mind (DNS rebinding); TLS and `Host` still name the host. Redirects are not followed.

    Args:
        schemes: allowed schemes.
        ports: allowed ports; None for any.
        allow: addresses or networks that may be called although they are not public, such as `127.0.0.0/8` in development.
        deny: addresses or networks that may not be called although they are public, such as the service's own; `allow` does
            not lift it.
        resolve: resolves names, instead of the operating system.

    Raises:
        ValueError: an argument is not valid.
    """

    def __init__(
        self,
        *,
        schemes: Iterable[str] = ("https",),
        ports: Iterable[int] | None = (443,),
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        resolve: Resolver | None = None,
    ) -> None:
        self._schemes = frozenset(schemes)
        self._ports = None if ports is None else frozenset(ports)
        if not self._schemes or self._schemes - _DEFAULT_PORTS.keys():
            raise ValueError(f"guard: schemes={sorted(self._schemes)} must be 'http', 'https' or both")
        if self._ports is not None and not all(0 < port < 65536 for port in self._ports):
            raise ValueError(f"guard: ports={sorted(self._ports)} must be 1 to 65535")
        self._allow = _networks("allow", allow)
        self._deny = _networks("deny", deny)
        self._resolve = resolve or _resolve

    def check(self, url: str | httpx2.URL) -> None:
        """Check the text of a URL, for instance when a user registers it. That its address is allowed, only a call can tell.

        Raises:
            ForbiddenURLError: the URL cannot be parsed, or requests may not go there.
        """
        import httpx2

        try:
            parsed = httpx2.URL(url)
            host = parsed.host and parsed.raw_host.decode("ascii")
            port = _DEFAULT_PORTS.get(parsed.scheme) if parsed.port is None else parsed.port
        except (httpx2.InvalidURL, ValueError, TypeError) as error:
            raise ForbiddenURLError("the URL is not valid") from error
        if parsed.scheme not in self._schemes:
            raise ForbiddenURLError(
                f"the URL must begin with {' or '.join(f'{scheme}://' for scheme in sorted(self._schemes))}"
            )
        if parsed.userinfo:
            raise ForbiddenURLError("the URL must not carry credentials")
        if port is None or not 0 < port < 65536 or (self._ports is not None and port not in self._ports):
            raise ForbiddenURLError(f"the port {port} is not allowed")
        literal = _literal(host)
        if literal is not None and not self.allows(literal):
            raise ForbiddenURLError("the address is not on the internet")

    def allows(self, address: Address) -> bool:
        """Whether connections may be made to an address."""
        reached = {address, embedded(address)}
        if any(each in network for each in reached for network in self._deny):
            return False
        return is_public(address) or any(each in network for each in reached for network in self._allow)

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Resolve a host and keep the addresses that connections may be made to.

        Raises:
            ForbiddenURLError: there are addresses, but none is allowed.
            OSError: there are none.
        """
        # Without the scope of a link-local address, which is refused anyway.
        found = [ipaddress.ip_address(text.partition("%")[0]) for text in await self._resolve(host, port)]
        allowed = [address for address in dict.fromkeys(found) if self.allows(address)]
        if found and not allowed:
            raise ForbiddenURLError("the host has no address on the internet")
        return allowed


def _literal(host: str) -> Address | None:
    """The address that a host is written as, or None for a name.

    Raises:
        ForbiddenURLError: it is neither, or an address in a spelling that programs disagree about.
    """
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        name = host.removesuffix(".").lower()
    if not _NAME.fullmatch(name) or _NUMERIC.fullmatch(name.rpartition(".")[2]):
        raise ForbiddenURLError("the host is neither a name nor an address in its usual form")
    return None


def _networks(what: str, networks: Iterable[str]) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(network) for network in networks)
    except ValueError as error:
        raise ValueError(f"guard: {what}: {error}; give addresses or networks such as '10.0.0.0/8'") from error


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]
