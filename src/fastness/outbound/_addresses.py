"""Which IP addresses are on the internet. Names, URLs and connections are for `guard` and `_transport`."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The IANA special-purpose registries (RFC 6890), written out: what `ipaddress.is_global` says has changed within releases of
# one Python version. What is reachable in the registry but leads into a provider's own network is refused as well.
_V4 = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; a metadata service of Alibaba Cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host: a public address that leads inside
        "169.254.0.0/16",  # link-local; the metadata service of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
# Only this is assigned as global unicast (RFC 4291, section 2.4): whatever lies outside is private, local or unknown.
_V6_GLOBAL = ipaddress.IPv6Network("2000::/3")
_V6 = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # Teredo, ORCHID, benchmarking
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
    )
)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# How interface identifiers begin that carry an IPv4 address by ISATAP (RFC 5214, section 6.1).
_ISATAP = (0x00005EFE, 0x02005EFE)


def is_public(address: Address) -> bool:
    """Whether an address is on the internet: not private, loopback, link-local, metadata, multicast, reserved or for examples.

    An IPv4-mapped address and one behind the well-known NAT64 prefix (RFC 6052, which networks without IPv4 need) is as public
    as the IPv4 address in it. Other addresses that carry one (6to4, Teredo, ISATAP, IPv4-compatible) are never public.
    """
    inner = embedded(address)
    if isinstance(inner, ipaddress.IPv4Address):
        return not any(inner in network for network in _V4)
    if inner not in _V6_GLOBAL or any(inner in network for network in _V6):
        return False
    return int(inner) >> 32 & 0xFFFF_FFFF not in _ISATAP


def embedded(address: Address) -> Address:
    """The IPv4 address that a connection to `address` reaches, if it is mapped or behind NAT64, else `address`."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
