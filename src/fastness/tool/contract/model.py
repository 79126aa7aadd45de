"""A typed view of an OpenAPI document, 3.0 and 3.1 alike: operations with what they take, answer and demand.

References to parameters, bodies, responses and headers are resolved here; schemas stay as they stand in the document, for
`dialect` to read. Nothing here compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from fastness.tool.contract.dialect import Direction, Space
from fastness.tool.contract.references import escape, follow, trace
from fastness.tool.errors import CommandError

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_PARAMETER = re.compile(r"\{([^{}]*)\}")
_MOST_URLS = 64  # of one server
_IGNORED_HEADERS = frozenset({"accept", "content-type", "authorization"})


@dataclass(frozen=True, slots=True)
class Marks:
    """What an operation, a parameter or a property says of its end.

    Attributes:
        sunset: `x-sunset`; as text when it is no date.
        stability: `x-stability-level`, None when it says nothing.
    """

    deprecated: bool = False
    sunset: date | str | None = None
    stability: str | None = None


UNMARKED = Marks()


@dataclass(frozen=True, slots=True)
class Media:
    """The content of one media type.

    Attributes:
        encoding: the Encoding Objects of form fields by name.
        item, item_pointer: the schema of each item of a stream (`itemSchema` of OpenAPI 3.2, which FastAPI writes for JSON
            lines and server-sent events).
    """

    type: str
    schema: Any
    pointer: str
    encoding: Mapping[str, Any]
    item: Any
    item_pointer: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter or a response header.

    Attributes:
        name: as written; of path parameters the place in the template decides, of headers case does not matter.
        where: `path`, `query`, `header` or `cookie`.
        style, explode: how values are written, with the defaults of the location filled in.
        media: the media type when the value is content of its own.
    """

    name: str
    where: str
    required: bool
    schema: Any
    pointer: str
    style: str
    explode: bool
    media: str | None = None
    default: Any = None
    marks: Marks = UNMARKED


@dataclass(frozen=True, slots=True)
class Body:
    """A request body."""

    required: bool
    content: Mapping[str, Media]
    pointer: str


@dataclass(frozen=True, slots=True)
class Response:
    """The response of one status, range (`4XX`) or `default`."""

    status: str
    content: Mapping[str, Media]
    headers: Mapping[str, Parameter]
    pointer: str


@dataclass(frozen=True, slots=True)
class Scheme:
    """What a security scheme asks of a request; its name in the document does not matter."""

    kind: str
    place: str = ""
    name: str = ""

    def __str__(self) -> str:
        if self.kind == "http":
            return f"HTTP {self.name}"
        return " ".join(part for part in ("API key" if self.kind == "apiKey" else self.kind, self.place, self.name) if part)


Requirement = Mapping[Scheme, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation.

    Attributes:
        key: equal for operations that answer the same requests, whatever their path parameters are called.
        security: alternatives, each a set of schemes with scopes that hold together. An empty one lets everybody in.
        security_at, servers_at: the JSON Pointers of what holds for it, which may be the document's own.
        callbacks: operations that the server calls, by name and key.
    """

    key: str
    method: str
    path: str
    pointer: str
    parameters: Mapping[tuple[str, str], Parameter]
    body: Body | None
    responses: Mapping[str, Response]
    security: tuple[Requirement, ...]
    security_at: str
    servers: tuple[str, ...]
    servers_at: str
    marks: Marks
    callbacks: Mapping[str, Operation] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For people: `GET /orders/{order_id}`."""
        return f"{self.method.upper()} {self.path}"


@dataclass(frozen=True, slots=True, eq=False)
class Contract:
    """A document.

    Attributes:
        label: where it came from, for people.
        requests, responses: its schemas, read in either direction.
    """

    label: str
    raw: Mapping[str, Any]
    version: str
    operations: Mapping[str, Operation]
    webhooks: Mapping[str, Operation]
    requests: Space
    responses: Space


def contract(raw: Mapping[str, Any], *, label: str, old: bool) -> Contract:
    """The typed view of a document that `sources` has checked.

    Raises:
        CommandError: a part is not what OpenAPI says it is; with its place.
    """
    three_zero = str(raw["openapi"]).startswith("3.0")
    try:
        reader = _Reader(raw, label)
        operations = dict(reader.operations(raw.get("paths") or {}, "/paths"))
        webhooks = dict(reader.webhooks())
    except RecursionError:
        raise CommandError(f"{label}: nested too deep to be read") from None
    info = raw.get("info")
    return Contract(
        label,
        raw,
        str(info.get("version", "")) if isinstance(info, dict) else "",
        operations,
        webhooks,
        Space(raw, Direction.REQUEST, old=old, three_zero=three_zero),
        Space(raw, Direction.RESPONSE, old=old, three_zero=three_zero),
    )


def template(path: str) -> str:
    """A path without the names of its parameters."""
    return _PARAMETER.sub("{}", path)


class _Reader:
    def __init__(self, raw: Mapping[str, Any], label: str) -> None:
        self._raw = raw
        self._label = label

    def operations(self, paths: Any, pointer: str) -> Iterator[tuple[str, Operation]]:
        for path, item in self._mapping(paths, pointer).items():
            if str(path).startswith("x-"):
                continue
            found, here = trace(self._raw, item, f"{pointer}/{escape(str(path))}")
            shared = self._mapping(found, here)
            for method in METHODS:
                if method in shared:
                    operation = self._operation(method, str(path), shared, f"{here}/{method}")
                    yield operation.key, operation

    def webhooks(self) -> Iterator[tuple[str, Operation]]:
        for name, item in self._mapping(self._raw.get("webhooks") or {}, "/webhooks").items():
            found, here = trace(self._raw, item, f"/webhooks/{escape(str(name))}")
            shared = self._mapping(found, here)
            for method in METHODS:
                if method in shared:
                    operation = self._operation(method, str(name), shared, f"{here}/{method}")
                    yield operation.key, operation

    def _operation(self, method: str, path: str, item: Mapping[str, Any], pointer: str) -> Operation:
        raw = self._mapping(item[method], pointer)
        body, body_at = trace(self._raw, raw.get("requestBody"), f"{pointer}/requestBody")
        path_at = pointer.rpartition("/")[0]
        servers, servers_at = next(
            ((holder["servers"], f"{at}/servers") for holder, at in ((raw, pointer), (item, path_at)) if holder.get("servers")),
            (self._raw.get("servers") or (), "/servers" if "servers" in self._raw else ""),
        )
        security, security_at = raw.get("security"), f"{pointer}/security"
        if "security" not in raw:
            security, security_at = self._raw.get("security"), "/security" if "security" in self._raw else pointer
        return Operation(
            key=f"{method} {template(path)}",
            method=method,
            path=path,
            pointer=pointer,
            parameters=self._parameters(path, item, raw, pointer),
            body=None if body is None else self._body(body, body_at),
            responses={
                str(status): self._response(str(status), *trace(self._raw, response, f"{pointer}/responses/{status}"))
                for status, response in self._mapping(raw.get("responses") or {}, f"{pointer}/responses").items()
                if str(status) and not str(status).startswith("x-")
            },
            security=self._security(security, pointer),
            security_at=security_at,
            servers=tuple(dict.fromkeys(url for server in servers if isinstance(server, dict) for url in _urls(server))),
            servers_at=servers_at,
            marks=marks(raw),
            callbacks=dict(self._callbacks(raw.get("callbacks") or {}, f"{pointer}/callbacks")),
        )

    def _callbacks(self, raw: Any, pointer: str) -> Iterator[tuple[str, Operation]]:
        for name, callback in self._mapping(raw, pointer).items():
            for key, operation in self.operations(*trace(self._raw, callback, f"{pointer}/{escape(str(name))}")):
                yield f"{name} {key}", operation

    def _parameters(
        self, path: str, item: Mapping[str, Any], raw: Mapping[str, Any], pointer: str
    ) -> dict[tuple[str, str], Parameter]:
        places = {name: str(place) for place, name in enumerate(_PARAMETER.findall(path))}
        found: dict[tuple[str, str], Parameter] = {}
        for holder, here in ((item, pointer.rpartition("/")[0]), (raw, pointer)):
            listed = holder.get("parameters") or []
            if not isinstance(listed, list):
                raise CommandError(f"{self._label}: {here}/parameters is not a list")
            for index, entry in enumerate(listed):
                value, at = trace(self._raw, entry, f"{here}/parameters/{index}")
                value = self._mapping(value, at)
                name, where = value.get("name"), value.get("in")
                if not isinstance(name, str) or where not in ("path", "query", "header", "cookie", "querystring"):
                    raise CommandError(
                        f"{self._label}: {here}/parameters/{index} has no name, or `in` that OpenAPI does not know"
                    )
                if where == "header" and name.lower() in _IGNORED_HEADERS:
                    continue
                identity = places.get(name, name) if where == "path" else name.lower() if where == "header" else name
                found[where, identity] = self._parameter(name, where, value, at)
        for name, place in places.items():
            # A parameter of the path that nobody describes is there all the same, and any text may stand in it.
            if not name.startswith("$"):  # `{$request.body#/url}` in a callback is an expression
                found.setdefault(("path", place), Parameter(name, "path", True, {"type": "string"}, pointer, "simple", False))
        return found

    def _parameter(self, name: str, where: str, raw: Mapping[str, Any], pointer: str) -> Parameter:
        style = raw.get("style") or ("form" if where in ("query", "cookie") else "simple")
        content = raw.get("content")
        media, schema, place = None, raw.get("schema", True), f"{pointer}/schema" if "schema" in raw else pointer
        if isinstance(content, dict) and content:
            media = str(next(iter(content)))
            place = f"{pointer}/content/{escape(media)}"
            held = self._mapping(content[media], place)
            schema, place = held.get("schema", True), f"{place}/schema" if "schema" in held else place
        explode = raw.get("explode", style in ("form", "cookie"))
        resolved = self._follow(schema)
        default = resolved.get("default") if isinstance(resolved, dict) else None
        required = raw.get("required") is True or where == "path"
        return Parameter(name, where, required, schema, place, str(style), bool(explode), media, default, marks(raw))

    def _body(self, raw: Any, pointer: str) -> Body:
        body = self._mapping(raw, pointer)
        return Body(body.get("required") is True, self._content(body, pointer), pointer)

    def _response(self, status: str, raw: Any, pointer: str) -> Response:
        response = self._mapping(raw, pointer)
        headers = {}
        for name, header in self._mapping(response.get("headers") or {}, f"{pointer}/headers").items():
            found, at = trace(self._raw, header, f"{pointer}/headers/{escape(str(name))}")
            if str(name).lower() != "content-type":
                headers[str(name).lower()] = self._parameter(str(name), "header", self._mapping(found, at), at)
        return Response(status.upper() if status != "default" else status, self._content(response, pointer), headers, pointer)

    def _content(self, raw: Mapping[str, Any], pointer: str) -> dict[str, Media]:
        found = {}
        for name, media in self._mapping(raw.get("content") or {}, f"{pointer}/content").items():
            value, here = trace(self._raw, media, f"{pointer}/content/{escape(str(name))}")
            value = self._mapping(value, here)
            (schema, at), (item, item_at) = (
                (value.get(key, True), f"{here}/{key}" if key in value else here) for key in ("schema", "itemSchema")
            )
            found[media_type(str(name))] = Media(str(name), schema, at, value.get("encoding") or {}, item, item_at)
        return found

    def _security(self, raw: Any, pointer: str) -> tuple[Requirement, ...]:
        if raw is None or raw == []:
            return ({},)
        if not isinstance(raw, list):
            raise CommandError(f"{self._label}: the security of {pointer} is not a list")
        components = self._raw.get("components")
        schemes = components.get("securitySchemes") if isinstance(components, dict) else None
        found = []
        for requirement in raw:
            alternative: dict[Scheme, frozenset[str]] = {}
            for name, scopes in self._mapping(requirement, f"{pointer}/security").items():
                if not isinstance(scopes, list):
                    raise CommandError(f"{self._label}: the scopes of {name} at {pointer}/security are not a list")
                scheme = _scheme(str(name), self._follow((schemes or {}).get(name) if isinstance(schemes, dict) else None))
                alternative[scheme] = alternative.get(scheme, frozenset()) | frozenset(map(str, scopes))
            found.append(alternative)
        return tuple(found)

    def _follow(self, value: Any) -> Any:
        return follow(self._raw, value)

    def _mapping(self, value: Any, pointer: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise CommandError(f"{self._label}: {pointer} is not an object")
        return value


def media_type(name: str) -> str:
    """A media type as it is compared: lower case, without the parameters that do not change how it is read."""
    kind, _, parameters = name.partition(";")
    kept = [
        part.strip().lower()
        for part in parameters.split(";")
        if part.strip() and not part.strip().lower().startswith("charset=")
    ]
    return ";".join([kind.strip().lower(), *sorted(kept)])


def in_range(name: str, wide: str) -> bool:
    """Whether a media type, or a narrower range of them, is in a range: `image/png` in `image/*`, everything in `*/*`."""
    return name != wide and (wide == "*/*" or (wide.endswith("/*") and name.startswith(wide[:-1])))


def marks(raw: Any) -> Marks:
    """The marks of an operation, parameter or schema as it stands in a document."""
    if not isinstance(raw, Mapping) or not any(name in raw for name in ("deprecated", "x-sunset", "x-stability-level")):
        return UNMARKED
    stability = raw.get("x-stability-level")
    return Marks(raw.get("deprecated") is True, _date(raw.get("x-sunset")), None if stability is None else str(stability))


def _urls(server: Mapping[str, Any]) -> Iterator[str]:
    """The URLs of a server: one for each choice of the variables that list their values."""
    urls = [str(server.get("url", "/"))]
    variables = server.get("variables")
    for name, variable in (variables if isinstance(variables, dict) else {}).items():
        listed = variable.get("enum") if isinstance(variable, dict) else None
        if isinstance(listed, list) and 0 < len(urls) * len(listed) <= _MOST_URLS:
            urls = [url.replace(f"{{{name}}}", str(value)) for url in urls for value in listed]
    yield from (url.rstrip("/") or "/" for url in urls)


def _scheme(name: str, raw: Any) -> Scheme:
    if not isinstance(raw, dict):
        return Scheme("unknown", "", name)
    match raw.get("type"):
        case "apiKey":
            where = str(raw.get("in"))
            key = str(raw.get("name"))
            return Scheme("apiKey", where, key.lower() if where == "header" else key)
        case "http":
            return Scheme("http", "header", str(raw.get("scheme")).lower())
        case "oauth2" | "openIdConnect":
            # They say where a token comes from. What reaches the server is a bearer token, and the scopes that it has.
            return Scheme("http", "header", "bearer")
        case kind:
            return Scheme(str(kind), "header")


def _date(value: Any) -> date | str | None:
    if value is None or isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return str(value)
