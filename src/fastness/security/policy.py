"""The policy object: what is allowed, validated when it is made. It handles no request."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_HOST = re.compile(r"(\*|(\*\.)?[a-z0-9_]([a-z0-9_.\-]*[a-z0-9])?|\[[0-9a-f:.]+\])")
# Swagger UI and ReDoc come from a CDN and start themselves with an inline script.
_DOCUMENTATION_CSP = (
    "default-src 'none'; script-src 'unsafe-inline' https://cdn.jsdelivr.net; style-src 'unsafe-inline' "
    "https://cdn.jsdelivr.net https://fonts.googleapis.com; font-src https://fonts.gstatic.com; img-src 'self' data: "
    "https://fastapi.tiangolo.com; connect-src 'self'; worker-src blob:; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CORS:
    """Which other origins may call from a browser (https://fetch.spec.whatwg.org/#http-cors-protocol).

    Attributes:
        origins: `scheme://host[:port]` each, or `("*",)` for a public API without credentials.
        methods: methods beyond the simple ones that they may use.
        headers: request headers that they may send.
        expose: response headers that they may read.
        credentials: whether they may send cookies or HTTP authentication.
        max_age: seconds for which a browser may keep a preflight answer.

    Raises:
        ValueError: a wildcard together with credentials (every site could act as the user), or a malformed origin.
    """

    origins: tuple[str, ...]
    methods: tuple[str, ...] = ("GET", "POST", "PUT", "PATCH", "DELETE")
    headers: tuple[str, ...] = ("Authorization", "Content-Type", "If-Match", "Idempotency-Key", "X-Request-ID", "traceparent")
    expose: tuple[str, ...] = (
        "ETag",
        "Location",
        "Retry-After",
        "RateLimit",
        "RateLimit-Policy",
        "Idempotent-Replayed",
        "Deprecation",
        "Sunset",
        "Link",
        "X-Request-ID",
    )
    credentials: bool = False
    max_age: int = 600

    def __post_init__(self) -> None:
        if "*" in self.origins and self.credentials:
            raise ValueError(
                "CORS: origin '*' with credentials lets every site act as the signed-in user; name the origins, "
                "or set credentials=False"
            )
        if "*" in self.origins and len(self.origins) > 1:
            raise ValueError("CORS: '*' already allows every origin; give either '*' or a list")
        for origin in self.origins:
            if origin != "*" and not _is_origin(origin):
                raise ValueError(f"CORS: {origin!r} is not an origin; write 'https://app.example.com' without path or slash")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityPolicy:
    """Everything `SecurityMiddleware` enforces.

    Attributes:
        hosts: accepted `Host` names, without port; `*.example.com` is every name below it, `*` turns the check off.
        cors: which other origins may call, or None for none.
        hsts_max_age: seconds of `Strict-Transport-Security`, sent over https only (RFC 6797); 0 leaves it out.
        content_security_policy: for every response but the documentation pages.
        documentation: paths of interactive documentation, which needs scripts.
        cache_control: sent where the app says nothing of caching; answers of an API are nobody's to keep.
        headers: further response headers, or other values for the ones above.
        max_body_size: bytes of request body, None for no limit. A router's or route's own `max_body_size` (FastAPI) takes its
            place there, smaller or larger.
        max_header_size: bytes of all request header values together.

    Raises:
        ValueError: a malformed host, header or limit.
    """

    hosts: tuple[str, ...] = ("*",)
    cors: CORS | None = None
    hsts_max_age: int = 63_072_000
    content_security_policy: str = "default-src 'none'; frame-ancestors 'none'"
    documentation: tuple[str, ...] = ("/docs", "/redoc")
    cache_control: str = "no-store"
    headers: dict[str, str] = field(default_factory=dict)
    max_body_size: int | None = 1_048_576
    max_header_size: int = 32_768

    def __post_init__(self) -> None:
        for host in self.hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(f"hosts: {host!r} is not a lower-case host name without port, '*.name', or '*'")
        if self.max_body_size is not None and self.max_body_size < 0:
            raise ValueError(f"max_body_size: {self.max_body_size} is not a number of bytes; None means no limit")
        if self.max_header_size < 1024:
            raise ValueError(f"max_header_size: {self.max_header_size} bytes is too little for a browser's request")
        if self.hsts_max_age < 0:
            raise ValueError(f"hsts_max_age: {self.hsts_max_age} is not a number of seconds")
        for name, value in self.headers.items():
            if not re.fullmatch(r"[A-Za-z0-9\-]+", name) or not value.isprintable() or not value.isascii():
                raise ValueError(f"headers: {name!r} is not a header name with a printable ASCII value")

    def response_headers(self, *, secure: bool, documentation: bool = False) -> list[tuple[bytes, bytes]]:
        """Header lines for a response, encoded; those with an empty value are left out."""
        lines = {
            "content-security-policy": _DOCUMENTATION_CSP if documentation else self.content_security_policy,
            "x-content-type-options": "nosniff",
            # Only a page has links to follow and things to load.
            "referrer-policy": "no-referrer" if documentation else "",
            "cross-origin-resource-policy": "same-origin",
            "cache-control": self.cache_control,
            "strict-transport-security": f"max-age={self.hsts_max_age}" if secure and self.hsts_max_age else "",
        }
        lines |= {name.lower(): value for name, value in self.headers.items()}
        return [(name.encode(), value.encode()) for name, value in lines.items() if value]

    def host_suffixes(self) -> Iterator[str]:
        """The parts of wildcard hosts that a name must end with."""
        return (host[1:] for host in self.hosts if host.startswith("*."))


def _is_origin(text: str) -> bool:
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.scheme and parts.hostname) and text == f"{parts.scheme}://{parts.netloc}" and "@" not in parts.netloc
