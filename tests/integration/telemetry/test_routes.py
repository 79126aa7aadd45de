"""The route label is the full template in every arrangement of routers, mounts and apps."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from httpx2 import ASGITransport, AsyncClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route, Router
from starlette.staticfiles import StaticFiles

from fastness.telemetry.routes import UNMATCHED, Routes


class Labelled:
    """Middleware that keeps the label of each request."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.labels: list[str] = []
        self.root_path: str | None = None
        self._routes: Routes | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.root_path is not None:
            scope["root_path"] = self.root_path
        await self.app(scope, receive, send)
        if scope["type"] == "http":
            if self._routes is None:
                self._routes = Routes(self.app)
            self.labels.append(self._routes.label(scope))


async def labels(app: Any, *paths: str, method: str = "GET", host: str = "service") -> list[str]:
    watched = app if isinstance(app, Labelled) else Labelled(app)
    watched.labels.clear()
    async with AsyncClient(transport=ASGITransport(watched), base_url=f"http://{host}") as client:
        for path in paths:
            await client.request(method, path)
    return watched.labels


async def read(identifier: str = "") -> dict[str, str]:
    return {}


def items() -> APIRouter:
    router = APIRouter()
    router.add_api_route("/items/{identifier}", read)
    router.add_api_route("/items", read)
    return router


async def test_a_route_on_the_app_has_its_own_template() -> None:
    """A route that is declared on the app is labelled with its template."""
    app = FastAPI()
    app.add_api_route("/things/{identifier}", read)
    assert await labels(app, "/things/1", "/things/2") == ["/things/{identifier}"] * 2


async def test_prefixes_of_nested_routers_are_part_of_the_template() -> None:
    """Every prefix on the way to a route is in its label: the router's own and those of each inclusion."""
    inner = APIRouter(prefix="/inner")
    inner.include_router(items(), prefix="/deep/{region}")
    app = FastAPI()
    app.include_router(inner, prefix="/v1")
    assert await labels(app, "/v1/inner/deep/eu/items/1", "/v1/inner/deep/eu/items") == [
        "/v1/inner/deep/{region}/items/{identifier}",
        "/v1/inner/deep/{region}/items",
    ]


async def test_a_router_that_is_included_twice_has_a_label_for_each_place() -> None:
    """Two inclusions of one router share their route objects, and are told apart all the same."""
    router = items()
    app = FastAPI()
    app.include_router(router, prefix="/a")
    app.include_router(router, prefix="/b")
    assert await labels(app, "/a/items/1", "/b/items/1", "/a/items/2", "/b/items") == [
        "/a/items/{identifier}",
        "/b/items/{identifier}",
        "/a/items/{identifier}",
        "/b/items",
    ]


async def test_what_is_added_late_is_found() -> None:
    """Routes and inclusions that come after the first request are labelled like those before."""
    router = items()
    app = FastAPI()
    app.include_router(router, prefix="/a")
    watched = Labelled(app)
    assert await labels(watched, "/a/items/1") == ["/a/items/{identifier}"]
    app.include_router(router, prefix="/b")
    app.add_api_route("/late", read)
    router.add_api_route("/later/{identifier}", read)
    assert await labels(watched, "/b/items/1", "/a/items/1", "/late", "/a/later/1", "/b/later/1") == [
        "/b/items/{identifier}",
        "/a/items/{identifier}",
        "/late",
        "/a/later/{identifier}",
        "/b/later/{identifier}",
    ]


async def test_mounted_apps_are_labelled_below_their_mount() -> None:
    """A FastAPI app in an app, and one in that, are labelled with every mount on the way."""
    innermost = FastAPI()
    innermost.include_router(items(), prefix="/r")
    middle = FastAPI()
    middle.mount("/innermost", innermost)
    middle.add_api_route("/own/{identifier}", read)
    app = FastAPI()
    app.mount("/tenants/{tenant}", middle)
    assert await labels(app, "/tenants/1/innermost/r/items/2", "/tenants/3/own/4", "/tenants/3/nothing") == [
        "/tenants/{tenant}/innermost/r/items/{identifier}",
        "/tenants/{tenant}/own/{identifier}",
        "/tenants/{tenant}/{path}",
    ]


async def test_an_app_that_is_mounted_twice_has_a_label_for_each_place() -> None:
    """One app under two mounts, the second of which comes late."""
    mounted = FastAPI()
    mounted.add_api_route("/things/{identifier}", read)
    app = FastAPI()
    app.mount("/a", mounted)
    watched = Labelled(app)
    assert await labels(watched, "/a/things/1") == ["/a/things/{identifier}"]
    app.mount("/b", mounted)
    assert await labels(watched, "/b/things/1", "/a/things/1") == ["/b/things/{identifier}", "/a/things/{identifier}"]


async def test_a_mount_within_an_included_router_has_both_prefixes() -> None:
    """The prefix of an inclusion counts for the mounts in it."""
    mounted = FastAPI()
    mounted.add_api_route("/things/{identifier}", read)
    router = APIRouter()
    router.mount("/mounted", mounted)
    app = FastAPI()
    app.include_router(router, prefix="/v1")
    assert await labels(app, "/v1/mounted/things/1") == ["/v1/mounted/things/{identifier}"]


async def test_starlette_routes_with_one_endpoint_are_told_apart() -> None:
    """Plain Starlette routes leave only their endpoint in the scope; two that share it have a label each."""

    async def plain(request: Request) -> PlainTextResponse:
        return PlainTextResponse("")

    app = FastAPI()
    app.add_route("/one/{number:int}", plain)
    app.add_route("/two/{name}", plain)
    router = APIRouter()
    router.add_route("/three", plain)
    app.include_router(router, prefix="/v1")
    assert await labels(app, "/one/1", "/two/1", "/v1/three") == ["/one/{number}", "/two/{name}", "/v1/three"]
    star = Starlette(routes=[Mount("/m", routes=[Route("/x/{y}", plain)])])
    assert await labels(star, "/m/x/1") == ["/m/x/{y}"]


async def test_hosts_are_looked_into() -> None:
    """Routes that are bound to a host have their template."""
    app = FastAPI()
    app.router.routes.append(Host("other", Router([Route("/hosted/{y}", lambda request: PlainTextResponse(""))])))
    assert await labels(app, "/hosted/1", host="other") == ["/hosted/{y}"]


async def test_static_files_are_one_label(tmp_path: Any) -> None:
    """A mount that has no routes is one label, whatever is asked of it."""
    (tmp_path / "a.css").write_text("a")
    app = FastAPI()
    app.mount("/static", StaticFiles(directory=tmp_path))
    assert await labels(app, "/static/a.css", "/static/b/c") == ["/static/{path}"] * 2


async def test_a_mounted_app_behind_middleware_is_looked_into() -> None:
    """Middleware around a mounted app does not hide its routes; an app that hides them is known by its mount."""

    class Wrapped:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.app(scope, receive, send)

    mounted = FastAPI()
    mounted.add_api_route("/things/{identifier}", read)

    async def opaque(scope: Any, receive: Any, send: Any) -> None:
        await mounted(scope, receive, send)

    app = FastAPI()
    app.mount("/wrapped", Wrapped(mounted))
    assert await labels(app, "/wrapped/things/1") == ["/wrapped/things/{identifier}"]
    hidden = FastAPI()
    hidden.mount("/opaque", opaque)
    assert await labels(hidden, "/opaque/things/1", "/opaque/things/2") == ["/opaque/{path}"] * 2


async def test_no_client_can_make_a_label() -> None:
    """What no route matches is one label; a method that the route lacks is still that route."""
    app = FastAPI()
    app.include_router(items(), prefix="/v1")
    assert await labels(app, "/nothing/1", "/v1/nothing", "/v1/items/1/2") == [UNMATCHED] * 3
    assert await labels(app, "/v1/items/1", method="BREW") == ["/v1/items/{identifier}"]


@pytest.mark.parametrize("prefixed", [False, True])
async def test_the_root_path_is_no_part_of_the_label(prefixed: bool) -> None:
    """Behind a proxy that strips a prefix, or does not, labels are what the app declared."""
    router = items()
    app = FastAPI()
    app.include_router(router, prefix="/a")
    app.include_router(router, prefix="/b")
    root = "/api" if prefixed else ""
    watched = Labelled(app)
    watched.root_path = "/api"
    assert await labels(watched, f"{root}/b/items/1", f"{root}/a/items/1") == ["/b/items/{identifier}", "/a/items/{identifier}"]


async def test_from_inside_a_mounted_app_labels_are_those_of_that_app() -> None:
    """A mounted app that labels its own requests tells twice-included routers apart without knowing its mount."""
    router = items()
    mounted = FastAPI()
    mounted.include_router(router, prefix="/a")
    mounted.include_router(router, prefix="/b")
    watched = Labelled(mounted)
    app = FastAPI()
    app.mount("/mounted", watched)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://service") as client:
        await client.get("/mounted/b/items/1")
        await client.get("/mounted/a/items/1")
    assert watched.labels == ["/b/items/{identifier}", "/a/items/{identifier}"]


async def test_frontends_are_one_label(tmp_path: Any) -> None:
    """The files of a static frontend share the label of their prefix, where FastAPI has frontends."""
    app = FastAPI()
    frontend: Callable[..., None] | None = getattr(app, "frontend", None)
    if frontend is None:
        pytest.skip("this FastAPI has no frontends")
    (tmp_path / "index.html").write_text("<p>hello</p>")
    frontend("/ui", directory=tmp_path)
    assert await labels(app, "/ui/index.html", "/ui/") == ["/ui/{path}"] * 2


def test_remembered_labels_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Routes that come and go do not fill the memory."""
    monkeypatch.setattr("fastness.telemetry.routes._MAX_REMEMBERED", 3)
    routes = Routes(FastAPI())
    for _ in range(10):
        routes.label({"type": "http", "path": "/", "route": object()})
    assert len(routes._remembered) <= 3
