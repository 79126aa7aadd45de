"""Which URLs and addresses requests may go to, whatever a hostile user writes and a hostile name server answers."""

import asyncio
import contextlib
import ipaddress

import httpcore2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fastness.outbound import ForbiddenURLError, Guard
from fastness.outbound._addresses import _V4, _V6, is_public
from fastness.outbound._transport import GuardedBackend

INSIDE = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::101:101",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:101:101::",
    "2606:4700::5efe:7f00:1",
    "2606:4700::200:5efe:a00:1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
OUTSIDE = [
    "1.1.1.1",
    "93.184.215.14",
    "172.32.0.1",
    "2606:4700::1111",
    "2606:4700::5eff:7f00:1",
    "2a00:1450::1",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_not_public(address):
    """Private, loopback, link-local, metadata, multicast, reserved, for examples, and IPv4 ones in IPv6 clothes."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", OUTSIDE)
def test_addresses_on_the_internet_are_public(address):
    """Also those behind NAT64, without which a network that has only IPv6 could call nobody."""
    assert is_public(ipaddress.ip_address(address))


@given(st.ip_addresses())
def test_never_laxer_than_the_standard_library(address):
    """What `ipaddress` does not hold for global is refused here too, but for what is mapped or translated."""
    if is_public(address) and not (
        address.version == 6 and (address.ipv4_mapped or address in ipaddress.ip_network("64:ff9b::/96"))
    ):
        assert address.is_global
        assert not address.is_multicast
        assert not address.is_reserved


@given(st.sampled_from(_V4).flatmap(lambda network: st.ip_addresses(network=network)))
def test_an_address_inside_stays_inside_in_every_disguise(address):
    """Mapped, translated, tunnelled or compatible: whatever carries the IPv4 address leads to it."""
    number = int(address)
    for disguise in (
        number | 0xFFFF << 32,  # mapped
        number | 0xFFFF << 48,  # IPv4-translated (SIIT)
        number,  # compatible
        number | 0x64FF9B << 96,  # NAT64
        number << 80 | 0x2002 << 112,  # 6to4
        (number ^ 0xFFFF_FFFF) | 0x2001_0000 << 96,  # Teredo
        number | 0x5EFE << 32 | 0x2606_4700 << 96,  # ISATAP
    ):
        assert not is_public(ipaddress.IPv6Address(disguise))
    assert not is_public(address)


@given(st.sampled_from(_V6).flatmap(lambda network: st.ip_addresses(network=network)))
def test_no_address_of_a_special_ipv6_range_is_public(address):
    """From the first to the last."""
    assert not is_public(address)


GUARD = Guard(schemes=["http", "https"], ports=None)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0x7f.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://017700000001/",
        "https://0177.0.0.1/",
        "https://0/",
        "https://0x/",
        "https://127.0.0.1./",
        "https://127.0.0.1../",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[fe80::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
        "https://127。0。0。1/",
        "https://①②⑦.⓪.⓪.①/",
        "https://%31%32%37.0.0.1/",
        "https://example.com%00.evil.example/",
        "https://user@example.com/",
        "https://user:secret@example.com/",
        "https://@127.0.0.1/",
        "https://example.com:0/",
        "https://example.com:65536/",
        "https://example.com:99999/",
        "https://example.com:-1/",
        "https:///etc/passwd",
        "https://",
        "https:example.com",
        "//example.com/",
        "/etc/passwd",
        "",
        "example.com",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://127.0.0.1:6379/_INFO",
        "unix:///run/docker.sock",
        "http+unix://%2Frun%2Fdocker.sock/",
        "javascript:alert(1)",
        "https://ex ample.com/",
        "https://ex\nample.com/",
        "https://exa\\mple.com/",
        "https://example.com\\@127.0.0.1/",
        "https://" + "a." * 200 + "com/",
        "https://" + "a" * 64 + ".com/",
        "https://-example.com/",
        "https://.example.com/",
        "https://example..com/",
        "https://exa<mple.com/",
        "https://" + "x" * 70_000,
    ],
)
def test_urls_that_lead_inside_or_are_ambiguous_are_refused(url):
    """Spellings about which programs disagree are not interpreted."""
    with pytest.raises(ForbiddenURLError):
        GUARD.check(url)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "HTTPS://EXAMPLE.COM/Path?q=1#f",
        "https://example.com./",
        "https://sub_domain.example.com:8443/hook",
        "https://example.com:1/",
        "https://example.com:65535/",
        "http://bücher.example/",
        "https://1.1.1.1/",
        "https://[2606:4700::1111]/",
        "https://1password.com/",
        "https://example.com/@127.0.0.1",
    ],
)
def test_urls_of_the_internet_are_accepted(url):
    """Names, also international ones, and addresses in their usual form."""
    GUARD.check(url)


def test_by_default_only_https_on_its_port():
    """Anything else is asked for."""
    guard = Guard()
    guard.check("https://example.com/")
    for url in ("http://example.com/", "http://example.com:443/", "https://example.com:8443/", "https://example.com:80/"):
        with pytest.raises(ForbiddenURLError):
            guard.check(url)
    Guard(schemes=["http"], ports=[8080]).check("http://example.com:8080/")
    for port in (1, 65535):
        Guard(ports=[port]).check(f"https://example.com:{port}/")


@given(st.text(max_size=40).map("https://{}".format) | st.text(max_size=60))
@example("https://[")
@example("https://[::1")
@example("https://\udc80/")
def test_whatever_is_given_is_accepted_or_refused(url):
    """No text makes the check fail in another way."""
    with contextlib.suppress(ForbiddenURLError):
        GUARD.check(url)


@given(st.ip_addresses(v=4) | st.ip_addresses(v=6))
def test_a_literal_address_is_judged_as_the_address(address):
    """What the text says and what would be connected to are the same."""
    host = f"[{address}]" if address.version == 6 else str(address)
    if is_public(address):
        GUARD.check(f"https://{host}/")
    else:
        with pytest.raises(ForbiddenURLError):
            GUARD.check(f"https://{host}/")


def test_allowed_and_denied_networks():
    """`allow` opens what is not public, `deny` closes what is, and `deny` wins; mapped forms count as what they reach."""
    guard = Guard(ports=None, allow=["127.0.0.0/8"], deny=["1.1.1.0/24", "127.0.0.9"])
    guard.check("https://127.0.0.1/")
    guard.check("https://[::ffff:127.0.0.1]/")
    with pytest.raises(ForbiddenURLError):
        Guard(ports=None, deny=["1.1.1.1"]).check("https://[64:ff9b::101:101]/")
    for host in ("1.1.1.1", "127.0.0.9", "[::ffff:127.0.0.9]", "[::ffff:1.1.1.1]", "[64:ff9b::101:101]", "10.0.0.1"):
        with pytest.raises(ForbiddenURLError):
            guard.check(f"https://{host}/")


def answering(*addresses):
    async def resolve(host, port):
        return addresses

    return resolve


async def test_what_a_name_resolves_to_decides():
    """Addresses that are not allowed are left out; where none is left, that is not a matter of reachability."""
    mixed = Guard(resolve=answering("10.0.0.1", "1.1.1.1", "1.1.1.1", "fe80::1%eth0"))
    assert await mixed.addresses("name.example", 443) == [ipaddress.ip_address("1.1.1.1")]
    with pytest.raises(ForbiddenURLError, match="no address on the internet"):
        await Guard(resolve=answering("10.0.0.1", "fe80::1%eth0")).addresses("name.example", 443)


async def test_by_default_the_operating_system_resolves():
    """An address is its own answer, for which no name server is asked."""
    loopback = Guard(allow=["127.0.0.1"])
    assert await loopback.addresses("127.0.0.1", 443) == [ipaddress.ip_address("127.0.0.1")]


async def test_time_to_connect_includes_resolving():
    """Whoever uses the backend with a time of its own gets httpcore2's error for it."""

    async def slow(host, port):
        await asyncio.Event().wait()

    with pytest.raises(httpcore2.ConnectTimeout):
        await GuardedBackend(Guard(resolve=slow)).connect_tcp("slow.example", 443, timeout=0.01)


async def test_no_unix_socket_is_opened():
    """A path is no address."""
    with pytest.raises(ForbiddenURLError):
        await GuardedBackend(Guard()).connect_unix_socket("/run/docker.sock")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"allow": ["10.0.0.0/99"]}, r"allow: .*10\.0\.0\.0/99"),
        ({"deny": ["x"]}, "deny"),
        ({"schemes": ["ftp"]}, "ftp"),
        ({"schemes": []}, "schemes"),
        ({"ports": [0]}, "ports"),
        ({"ports": [443, 65536]}, "ports"),
    ],
)
def test_malformed_rules_are_refused(options, says):
    """At start, by name."""
    with pytest.raises(ValueError, match=says):
        Guard(**options)
