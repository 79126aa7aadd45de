"""A call to another service has no timeout.

`requests` waits for ever, and aiohttp for five minutes. When the upstream hangs, each request of this service that needs it
holds its thread or connection, until none is left for those that do not.

Give every call a timeout, shorter than the caller's patience. httpx has one of five seconds by default.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts.imports import graph
from fastness.tool.check.repair import Edit, Repair, argument_added, calls_at, imported, replaced
from fastness.tool.check.rule import Bad, Found, Good, found, module_of, rule
from fastness.tool.findings import Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.names.values import External
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function, constant, dotted

_SECONDS = "10"
_VERBS = ("get", "post", "put", "patch", "delete", "head", "options", "request")
_FOR_EVER = {f"requests.{verb}" for verb in _VERBS} | {f"requests.Session().{verb}" for verb in _VERBS}
_EVER = "it waits for ever"
_CLIENTS = {
    "aiohttp.ClientSession": "aiohttp gives up after five minutes",
    "paramiko.SSHClient().connect": "it waits for as long as the operating system does",
    **dict.fromkeys(("urllib.request.urlopen", "smtplib.SMTP", "smtplib.SMTP_SSL", "http.client.HTTPConnection",
                     "http.client.HTTPSConnection", "imaplib.IMAP4", "imaplib.IMAP4_SSL", "poplib.POP3", "poplib.POP3_SSL",
                     "ftplib.FTP", "ftplib.FTP_TLS", "telnetlib.Telnet", "socket.create_connection"), _EVER),
}  # fmt: skip
_PLACES = {"socket.create_connection": 1, "ftplib.FTP": 4, "ftplib.FTP_TLS": 4, "paramiko.SSHClient().connect": 6}
_PLACE = 2  # of the timeout among what the other sockets are given
_CONNECTIONS = ("HTTPConnection", "HTTPSConnection", "IMAP4", "IMAP4_SSL", "POP3", "POP3_SSL", "FTP", "FTP_TLS", "Telnet",
                "create_connection")  # fmt: skip
_LIBRARIES = ("requests", "aiohttp", "urllib", "smtplib", "httpx", "http.client", "imaplib", "poplib", "ftplib", "telnetlib",
              "socket", "paramiko")  # fmt: skip
_HTTPX = {"httpx.Client", "httpx.AsyncClient", "httpx2.Client", "httpx2.AsyncClient",
          *(f"{package}.{verb}" for package in ("httpx", "httpx2") for verb in _VERBS)}  # fmt: skip


@rule(severity=Severity.ERROR, practice="4.5", fix=Fix.SAFE, help="add `timeout=`, shorter than the caller's own deadline")
def check(module: Module, resolver: Resolver) -> Iterator[Found]:
    if not module.mentions(*_LIBRARIES):
        return
    names = (*_VERBS, "ClientSession", "urlopen", "SMTP", "SMTP_SSL", "Client", "AsyncClient", *_CONNECTIONS)
    for name in (*names, "connect") if module.mentions("paramiko") else names:
        for site in module.calls_by_name.get(name, ()):
            if module.only_as_script(site.node) or _is_bounded(site) or _is_lookup(site):
                continue
            why = next((w for v in resolver.targets(site) if isinstance(v, External) and (w := _why(v.path, site))), None)
            if why and not (site.scope is module and _is_script(module, resolver)):
                yield found(site.scope, site.node, f"{ast.unparse(site.node.func)} has no timeout: {why}")


def _is_script(module: Module, resolver: Resolver) -> bool:
    """The project is a service that does not import the file: what stands at its top level is run by hand."""
    others = resolver.project.service
    if module.mentions("FastAPI") or not any(other.mentions("FastAPI") for other in others):
        return False
    return not any(edge.imported is module for edges in graph(resolver.project).values() for edge in edges)


def _is_bounded(site: CallSite) -> bool:
    """It has a timeout, or `**options` that may carry one."""
    timeout = site.argument("timeout")
    unlimited = timeout is None or (isinstance(timeout, ast.Constant) and timeout.value is None)
    return not unlimited or any(keyword.arg is None for keyword in site.node.keywords)


def _is_lookup(site: CallSite) -> bool:
    """`settings.get("host")`: what is no address is a key."""
    if site.name not in _VERBS or site.name == "request" or dotted(site.node.func) in _FOR_EVER:
        return False
    first = constant(site.argument("url", 0))
    return isinstance(first, str) and "://" not in first


def _why(path: str, site: CallSite) -> str | None:
    if _is_bounded(site):
        return None
    if path in _HTTPX:
        return "timeout=None switches the default off" if site.argument("timeout") is not None else None
    if path in _FOR_EVER:
        return "it waits for ever"
    if path == "aiohttp.ClientSession" and _timed_per_call(site):
        return None
    return None if path in _CLIENTS and path != "aiohttp.ClientSession" and _timed_otherwise(path, site) else _CLIENTS.get(path)


def _timed_otherwise(path: str, site: CallSite) -> bool:
    """The timeout is given by its place, to the socket, or to every socket; or nothing is connected yet."""
    if len(site.node.args) > _PLACES.get(path, _PLACE) or (
        path.startswith("ftplib") and not site.node.args + site.node.keywords
    ):
        return True
    module = module_of(site.scope)
    if module.mentions("setdefaulttimeout"):
        return True
    if path != "socket.create_connection":
        return False  # all others wait for the greeting before anybody can set one
    return isinstance(site.scope, Function) and any(inner.name == "settimeout" for inner in site.scope.calls)


def _timed_per_call(site: CallSite) -> bool:
    """The calls on this session bring timeouts of their own, or one stands around them."""
    scope = site.scope
    if not isinstance(scope, Function):
        return False
    return any(
        inner.name in {"timeout", "wait_for", "fail_after", "move_on_after"}
        or (inner.name in _VERBS and any(k.arg == "timeout" for k in inner.node.keywords))
        for inner in scope.calls
    )


def fix(service: Service, finding: Finding) -> Repair | None:
    """Ten seconds. Whoever wrote `timeout=None`, or streams, is asked first."""
    module = service.project.modules[finding.path]
    for site in calls_at(service, finding):
        path = next((v.path for v in service.resolver.targets(site) if isinstance(v, External) and _why(v.path, site)), None)
        if path is None:
            continue
        timeout, imports = _SECONDS, tuple[Edit, ...]()
        if path == "aiohttp.ClientSession":
            name = imported(module, "aiohttp", "ClientTimeout")
            if isinstance(site.node.func, ast.Attribute):
                name = f"{ast.unparse(site.node.func.value)}.ClientTimeout", ()
            if name is None:
                return None
            timeout, imports = f"{name[0]}(total={_SECONDS})", name[1]
        given = site.argument("timeout")
        if given is not None:
            return Repair((replaced(module, given, timeout), *imports), review=True)
        streams = path == "aiohttp.ClientSession" and _streams(site)
        return Repair((argument_added(module, site.node, f"timeout={timeout}"), *imports), review=streams)
    return None


def _streams(site: CallSite) -> bool:
    """The session is kept, or read from bit by bit: a limit for the whole of an answer may end what is meant to last."""
    scope = site.scope
    if not isinstance(scope, Function):
        return True
    return any(isinstance(node, ast.Attribute) and node.attr in {"content", "ws_connect"} for node in ast.walk(scope.node))


EXAMPLES = [
    Bad("""
        import http.client
        from imaplib import IMAP4_SSL

        def a():
            http.client.HTTPSConnection("example.org").request("GET", "/")  # found
            IMAP4_SSL("mail.example.org")  # found
    """),
    Bad("""
        import socket
        import paramiko

        def files():
            from ftplib import FTP

            return FTP("files.example.org").nlst()  # found

        def reachable():
            socket.create_connection(("example.org", 22))  # found
            client = paramiko.SSHClient()
            client.connect("example.org")  # found
    """),
    Good(
        """
        # file: app/main.py
        from fastapi import FastAPI
        from app import feeds

        app = FastAPI()
        # file: app/feeds.py
        import socket
        from ftplib import FTP

        def files():
            client = FTP()
            client.connect("files.example.org", timeout=5)
            other = socket.create_connection(("example.org", 21))
            other.settimeout(5)
            return FTP("files.example.org", timeout=5), socket.create_connection(("example.org", 21), 5)
        # file: app/release_notes.py
        import requests

        print(requests.get("https://example.org/notes").text)
    """,
        "a timeout that is given elsewhere, and a file that is run by hand",
    ),
    Bad("""
        import aiohttp
        import httpx
        import requests
        from requests import get as fetch

        session = requests.Session()

        def a():
            requests.post("https://example.org", json={})  # found
            session.get("https://example.org")  # found
            fetch("https://example.org", timeout=None)  # found

        async def b():
            async with aiohttp.ClientSession() as client:  # found
                await client.get("https://example.org")
            httpx.AsyncClient(timeout=None)  # found
    """),
    Good("""
        import aiohttp
        import httpx
        import requests

        def a(**options):
            requests.post("https://example.org", timeout=3)
            requests.get("https://example.org", **options)
            httpx.get("https://example.org")
            {}.get("https://example.org")

        async def b():
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(3)) as client:
                await client.get("https://example.org")
            async with aiohttp.ClientSession() as client:
                await client.get("https://example.org", timeout=3)
    """),
    Good(
        """
        import asyncio
        import http.client
        import smtplib
        import urllib.request
        import aiohttp
        import httpx

        def a():
            urllib.request.urlopen("https://example.org", None, 5)
            smtplib.SMTP("localhost", 25, None, 10)
            http.client.HTTPConnection("localhost", 80, 5)
            httpx.Client(timeout=httpx.Timeout(None, connect=5))

        async def b():
            async with asyncio.timeout(5):
                async with aiohttp.ClientSession() as client:
                    await client.get("https://example.org")
    """,
        "a deadline stands around the call, or is given by place",
    ),
    Good(
        """
        # file: app/main.py
        from functools import partial
        import requests
        from fastapi import APIRouter
        from app import requests as orders

        router = APIRouter()
        fetch = partial(requests.get, timeout=5)

        @router.get("/orders")
        def read():
            fetch("https://example.org")
            return orders.get("open")
        # file: app/requests.py
        def get(state): ...
        # file: tests/test_orders.py
        from fastapi.testclient import TestClient
        from app.main import router

        def test_orders():
            assert TestClient(router).get("/orders").json() == []
    """,
        "the names of a client that mean something else: a test client, a router, a dictionary, a module of the project",
    ),
]
