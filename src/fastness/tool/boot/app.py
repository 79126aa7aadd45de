"""A booted app as typed values: what FastAPI serves, in its order, with where each thing is defined. All of it is fact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JSON = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """A line of one of the project's files.

    Attributes:
        path: relative to the project, with forward slashes.
        line: counted from 1; of a function, its first decorator's.
    """

    path: str
    line: int


@dataclass(frozen=True, slots=True)
class Callee:
    """A function or class that the app calls.

    Attributes:
        name: `module.Qualified.name`.
        place: None when it is a library's.
    """

    name: str
    place: Place | None
    is_async: bool


@dataclass(frozen=True, slots=True)
class BootedDependency:
    """A dependency, with its own.

    Attributes:
        scheme: one of `fastapi.security`'s, which reads a credential.
        scopes: what `Security(..., scopes=[...])` asks for.
        deprecation: of a `fastness.versioning.Deprecated`, the `sunset` and the `headers` that it sends.
    """

    callee: Callee | None
    scheme: bool
    scopes: tuple[str, ...]
    generator: bool
    deprecation: JSON | None
    dependencies: tuple[BootedDependency, ...]

    def tree(self) -> Iterator[BootedDependency]:
        """This and everything that it depends on."""
        yield self
        for inner in self.dependencies:
            yield from inner.tree()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of an operation or of what it depends on.

    Attributes:
        where: path, query, header, cookie or body.
        fields: the names of the fields of every model in its type.
    """

    where: str
    name: str
    type: str
    required: bool
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BootedRoute:
    """One route, as it is served.

    Attributes:
        number: its position among all routes.
        app: the position of its app in `BootedApp.apps`; None below a mount that is no FastAPI app.
        kind: api, websocket, plain (Starlette's), mount, host, or the name of another class.
        path: in full, with every prefix.
        response_model: its type as text; None when there is none.
        entities: the classes in the response model that are mapped to a table.
        media_type: of its response class.
        streams: it yields items or events.
        hidden_by: the number of the route that answers everything this one was written for.
    """

    number: int
    app: int | None
    kind: str
    path: str
    methods: tuple[str, ...]
    endpoint: Callee | None
    response_model: str | None
    entities: tuple[str, ...]
    response_class: str | None
    media_type: str | None
    streams: bool
    status_code: int | None
    include_in_schema: bool
    deprecated: bool
    max_body_size: int | None
    parameters: tuple[Parameter, ...]
    dependencies: tuple[BootedDependency, ...]
    hidden_by: int | None

    @property
    def title(self) -> str:
        """`GET /items/{id}`."""
        return f"{'/'.join(self.methods) or self.kind.upper()} {self.path}"

    def tree(self) -> Iterator[BootedDependency]:
        """Everything that it depends on, directly or not."""
        for dependency in self.dependencies:
            yield from dependency.tree()


@dataclass(frozen=True, slots=True)
class BootedMiddleware:
    """One entry of an app's middleware.

    Attributes:
        name: `module.Class`.
        function: of `@app.middleware("http")`.
        place: where the entry is made.
        options: numbers and names of hosts, origins and headers as they are, of everything else the type.
    """

    name: str
    function: Callee | None
    place: Place | None
    options: JSON


@dataclass(frozen=True, slots=True)
class Handler:
    """An exception handler, and the status or exception that it answers."""

    answers: str | int
    callee: Callee


@dataclass(frozen=True, slots=True)
class App:
    """One FastAPI app: the booted one, or one that is mounted in it.

    Attributes:
        prefix: where it is mounted.
        place: where it is made.
        lifespan: it was given one; then FastAPI runs none of its `on_startup` and `on_shutdown`.
        middleware: outermost first.
    """

    title: str
    prefix: str
    place: Place | None
    debug: bool
    max_body_size: int | None
    lifespan: bool
    on_startup: tuple[Callee, ...]
    on_shutdown: tuple[Callee, ...]
    middleware: tuple[BootedMiddleware, ...]
    handlers: tuple[Handler, ...]


@dataclass(frozen=True, slots=True)
class BootedApp:
    """What a project's app is once it is imported.

    Attributes:
        target: `module:attribute`, as it was asked for.
        apps: that app, and those that are mounted in it.
        main: the one of them that serves most operations.
        routes: in the order in which they are tried, app by app.
        openapi: its document; None when it cannot be made, and `openapi_error` says why.
    """

    target: str
    versions: Mapping[str, str]
    apps: tuple[App, ...]
    main: App
    routes: tuple[BootedRoute, ...]
    openapi: JSON | None = field(default=None, repr=False)
    openapi_error: str | None = None

    @property
    def operations(self) -> Iterator[BootedRoute]:
        """The routes that FastAPI's decorators declare: its own, such as `/docs`, are not among them."""
        return (route for route in self.routes if route.kind == "api")


class Reader:
    """Makes values of JSON that another process wrote.

    What is not of the expected form raises KeyError, TypeError or ValueError.

    Args:
        root: the project; what lies elsewhere has no place.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._places: dict[str, str | None] = {}

    def app(self, document: JSON, target: str) -> BootedApp:
        """The booted app of a document."""
        apps = tuple(self._app(one) for one in document["apps"])
        routes = tuple(self._route(number, one) for number, one in enumerate(document["routes"]))
        if any(r.app not in (None, *range(len(apps))) or r.hidden_by not in (None, *range(len(routes))) for r in routes):
            raise ValueError("a number that stands for nothing")
        return BootedApp(
            target=target,
            versions={str(name): str(version) for name, version in document["versions"].items()},
            apps=apps,
            main=apps[document["main"]],
            routes=routes,
            openapi=None if document["openapi"] is None else dict(document["openapi"]),
            openapi_error=text(document["openapi_error"]),
        )

    def place(self, file: object, line: object) -> Place | None:
        """Where a file's line is in the project; None when it is no file of the project's own."""
        name = str(file)
        if name not in self._places:
            self._places[name] = self._relative(name)
        found = self._places[name]
        return Place(found, int(str(line))) if found is not None and line else None

    def _relative(self, name: str) -> str | None:
        if not name or name.startswith("<"):
            return None
        try:
            relative = Path(name).resolve().relative_to(self._root)
        except (ValueError, OSError, RuntimeError):
            return None
        return None if "site-packages" in relative.parts else relative.as_posix()

    def _callee(self, one: JSON) -> Callee:
        return Callee(str(one["name"]), self.place(one["file"], one["line"]), bool(one["async"]))

    def _app(self, one: JSON) -> App:
        return App(
            title=str(one["title"]),
            prefix=str(one["prefix"]),
            place=self.place(one["file"], one["line"]),
            debug=one["debug"] is True,
            max_body_size=_number(one["max_body_size"]),
            lifespan=one["lifespan"] is True,
            on_startup=tuple(self._callee(handler) for handler in one["on_startup"]),
            on_shutdown=tuple(self._callee(handler) for handler in one["on_shutdown"]),
            middleware=tuple(self._middleware(entry) for entry in one["middleware"]),
            handlers=tuple(
                Handler(_answers(entry["for"]), self._callee(entry["handler"])) for entry in one["exception_handlers"]
            ),
        )

    def _middleware(self, one: JSON) -> BootedMiddleware:
        function = self._callee(one["function"]) if one["function"] is not None else None
        return BootedMiddleware(str(one["name"]), function, self.place(one["file"], one["line"]), dict(one["options"]))

    def _route(self, number: int, one: JSON) -> BootedRoute:
        return BootedRoute(
            number=number,
            app=_number(one["app"]),
            kind=str(one["kind"]),
            path=str(one["path"]),
            methods=tuple(map(str, one["methods"])),
            endpoint=self._callee(one["endpoint"]) if one["endpoint"] is not None else None,
            response_model=text(one["response_model"]),
            entities=tuple(map(str, one["entities"])),
            response_class=text(one["response_class"]),
            media_type=text(one["media_type"]),
            streams=one["streams"] is True,
            status_code=_number(one["status_code"]),
            include_in_schema=one["include_in_schema"] is True,
            deprecated=one["deprecated"] is True,
            max_body_size=_number(one["max_body_size"]),
            parameters=tuple(
                Parameter(str(p["in"]), str(p["name"]), str(p["type"]), p["required"] is True, tuple(map(str, p["fields"])))
                for p in one["parameters"]
            ),
            dependencies=tuple(self._dependency(inner) for inner in one["dependencies"]),
            hidden_by=_number(one["hidden_by"]),
        )

    def _dependency(self, one: JSON) -> BootedDependency:
        return BootedDependency(
            callee=self._callee(one["call"]) if one["call"] is not None else None,
            scheme=one["scheme"] is True,
            scopes=tuple(map(str, one["scopes"])),
            generator=one["generator"] is True,
            deprecation=one["deprecation"],
            dependencies=tuple(self._dependency(inner) for inner in one["dependencies"]),
        )


def text(value: object) -> str | None:
    """Text, or nothing. Raises TypeError for anything else."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where text was expected")
    return value


def _number(value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise TypeError(f"{type(value).__name__} where a number was expected")
    return value


def _answers(value: object) -> str | int:
    return value if isinstance(value, int) else str(value)
