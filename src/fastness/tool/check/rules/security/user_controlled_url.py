"""The server fetches an address that a client chose.

The request comes from inside: it reaches the cloud's metadata service with its credentials, databases and admin pages that
listen on the private network only, and `file:` or `localhost`. What comes back, or how long it takes, tells what is there.

Compare the host with a list of allowed ones; for addresses of users, resolve the name once, refuse private, loopback and
link-local addresses, connect to what was checked, and do not follow redirects (`fastness.outbound` does all of that).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.inputs.taint import Danger, Taint
from fastness.tool.check.rule import Bad, Found, Good, found, module_of, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import External
from fastness.tool.project.source.symbols import CallSite

_CLIENT = r"(?:requests(?:\.Session\(\))?|httpx2?(?:\.(?:Async)?Client\(\))?|aiohttp\.ClientSession\(\))"
_GETS = re.compile(
    rf"{_CLIENT}\.(?:get|post|put|patch|delete|head|options)|urllib\.request\.(?:urlopen|urlretrieve|Request)"
    # What opens pages, or downloads.
    r"|(?:playwright\.(?:sync|async)_api|pyppeteer)\..+\.goto|selenium\.webdriver\..+\.get|crawl4ai\.AsyncWebCrawler\(\)\.arun"
    r"|scrapling\.(?:\w+\.)*\w*Fetcher(?:\(\))?\.(?:async_)?(?:get|post|fetch)|yt_dlp\.YoutubeDL\(\)\.(?:extract_info|download)"
    r"|wget\.download|trafilatura\.fetch_url|feedparser\.parse"
)
_REQUESTS = re.compile(rf"{_CLIENT}\.(?:request|stream)|aiohttp\.request|urllib3\.(?:PoolManager\(\)\.)?request")
_PASSES = {"str": 0, "urllib.parse.unquote": 0, "urllib.parse.urljoin": None, "urllib.request.Request": 0, "httpx.URL": 0,
           "yarl.URL": 0}  # fmt: skip


def _sink(called: External, site: CallSite) -> ast.expr | None:
    position = 0 if _GETS.fullmatch(called.path) else 1 if _REQUESTS.fullmatch(called.path) else None
    return None if position is None else site.argument("url", position)


def _is_guarded(called: External, site: CallSite) -> bool:
    """The client has a transport of its own, which is where addresses are checked; one that is handed in, those of its file."""
    if called.call is not None and called.call[0] is not site.node:
        made = [called.call[0]]
    else:
        calls = module_of(site.scope).calls_by_name
        made = [one.node for name in ("AsyncClient", "Client", "ClientSession") for one in calls.get(name, ())]
    return any(keyword.arg in {"transport", "connector", "mounts"} for call in made for keyword in call.keywords)


def _begins_host(before: str) -> bool:
    """What follows is the host: in the path of a fixed host the client's text is harmless."""
    return before in {"", "http://", "https://", "{}://"}


_DANGER = Danger(_sink, _PASSES, _begins_host, guarded=_is_guarded, checks=frozenset({"getaddrinfo", "gethostbyname"}))


@rule(severity=Severity.ERROR, practice="6.2", help="compare the host with a list, or refuse every address that is not public")
def check(service: Service) -> Iterator[Found]:
    for flow in Taint(service, _DANGER).flows():
        called = ast.unparse(flow.site.node.func)[:60]
        yield found(
            flow.function, flow.site.node, f"the client chooses the address that {called} fetches: {flow.source}", *flow.steps
        )


EXAMPLES = [
    Bad("""
        import httpx
        import requests
        from fastapi import FastAPI, Request
        from pydantic import BaseModel, HttpUrl

        app = FastAPI()

        class Hook(BaseModel):
            url: HttpUrl

        async def ping(address):
            async with httpx.AsyncClient() as client:
                await client.post(address, json={})  # found

        @app.post("/hooks")
        async def create(hook: Hook):
            await ping(str(hook.url))

        @app.get("/preview")
        def preview(host: str, request: Request):
            requests.get(f"https://{host}/favicon.ico", timeout=1)  # found
            return requests.request("GET", request.query_params["page"], timeout=1)  # found
    """),
    Bad("""
        import re
        import threading
        from urllib.request import urlopen
        import httpx
        from fastapi import BackgroundTasks, FastAPI
        from playwright.sync_api import sync_playwright
        from pydantic import BaseModel, HttpUrl

        app = FastAPI()

        class Target(BaseModel):
            address: HttpUrl

        class Shot(BaseModel):
            target: Target

        def fetch(job):
            return urlopen(str(job.target.address), timeout=3)  # found

        @app.post("/fetched")
        def fetched(shot: Shot):
            return fetch(shot)

        @app.post("/shots")
        def take(target: Target):
            with sync_playwright() as p:
                page = p.chromium.launch().new_page()
                page.goto(str(target.address))  # found
                return page.content()

        @app.post("/threads")
        def threaded(target: Target):
            pages = {}
            url = str(target.address)

            def run():
                pages["one"] = httpx.get(url).text  # found

            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
            return pages

        def download(url):
            httpx.get(url)  # found

        @app.post("/tasks")
        def later(link: str, tasks: BackgroundTasks):
            tasks.add_task(download, link)

        @app.get("/branches")
        def branches(url: str):
            if "://" not in url:
                url = "https://" + url
            return httpx.get(url).content  # found

        @app.get("/either")
        def either(url: str):
            if "localhost" in url:
                data = b""
            else:
                data = httpx.get(url).content  # found
            return data

        @app.get("/hosts")
        def hosts(url: str):
            host = re.search(r"https?://([^/]+)/", url).group(1)
            return httpx.get(f"https://{host}/robots.txt").content  # found
    """),
    Good(
        """
        import re
        import httpx
        from fastapi import FastAPI

        app = FastAPI()
        ALLOWED = {"https://example.org", "https://example.com"}

        @app.get("/members")
        def members(url: str):
            data = b""
            if url in ALLOWED:
                data = httpx.get(url).content
            return data

        @app.get("/not-members")
        def not_members(url: str):
            if url not in ALLOWED:
                data = b""
            else:
                data = httpx.get(url).content
            return data

        @app.get("/numbers")
        def numbers(text: str):
            number = re.search(r"id=(\\d+)", text).group(1)
            parts = "/".join(["https://example.org", text])
            return httpx.get(f"https://example.org/{number}"), httpx.get(parts)
    """,
        "the address is used where it is one of a list, and text that a pattern or a fixed host allows",
    ),
    Good(
        """
        import httpx
        from fastapi import FastAPI
        from app.config import settings

        app = FastAPI()
        BASE = "https://api.example.org"

        @app.get("/weather")
        def weather(city: str, path: str):
            httpx.get(f"https://api.example.org/{city}")
            httpx.get(BASE + "/" + path)
            httpx.get(f"{settings.upstream}/{city}")
            return httpx.get("https://api.example.org", params={"q": city})
    """,
        "the host is fixed or configured",
    ),
    Good(
        """
        from urllib.parse import urlparse
        import httpx
        from fastapi import FastAPI, HTTPException

        app = FastAPI()
        ALLOWED = {"example.org"}

        def ensure_allowed(url): ...

        @app.get("/a")
        def a(url: str):
            if urlparse(url).hostname not in ALLOWED:
                raise HTTPException(400)
            return httpx.get(url)

        @app.get("/b")
        def b(url: str):
            ensure_allowed(url)
            return httpx.get(url)
    """,
        "the host is compared with a list, or a function of the project checks it",
    ),
    Good(
        """
        import httpx
        from fastapi import FastAPI
        from app.safe import PublicOnly

        app = FastAPI()

        async def fetch(client: httpx.AsyncClient, url):
            return await client.get(url)

        @app.get("/a")
        async def a(url: str):
            async with httpx.AsyncClient(transport=PublicOnly()) as client:
                return await fetch(client, url)
    """,
        "a transport of the client's own decides where it connects",
    ),
    Good(
        """
        import httpx
        from fastapi import FastAPI
        from pydantic import BaseModel, field_validator

        app = FastAPI()

        class Hook(BaseModel):
            url: str
            name: str

            @field_validator("url")
            def public(cls, value): ...

        class Stored:
            url: str

        @app.post("/hooks")
        def create(hook: Hook, number: int):
            httpx.post(hook.url)
            httpx.post(f"https://example.org/{number}", json={"name": hook.name})
            return httpx.get(Stored().url)
    """,
        "a validator of the model, a number, and an address that the service stored itself",
    ),
]
