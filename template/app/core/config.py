"""The settings of the service, all of them: from the environment, from files of secrets, in development also from `.env`."""

from pathlib import Path
from typing import Annotated, Literal

from fastness.auth.dev import ISSUER as DEVELOPMENT_ISSUER
from fastness.security import CORS, SecurityPolicy
from fastness.settings import DevelopmentDefault, Secret, ServiceSettings
from pydantic import Field, SecretStr

from app import NAME

# feature: example
LONGEST_DELIVERY = 60.0
"""Seconds that `delivery_time_limit` may be."""
# /feature: example
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class Settings(ServiceSettings):
    """What may differ from one installation to the next. `.env.example` is made from it."""

    service_name: str = NAME
    """Names the service in logs, traces and challenges."""

    database_url: Annotated[SecretStr, Secret(min_length=8)] = SecretStr("sqlite:///./service.db")
    """Where data is kept: `sqlite:///./service.db` or `postgresql://user:password@host/database`."""
    database_pool_size: Count = 5
    """Connections that a process keeps open."""
    database_pool_overflow: Annotated[int, Field(ge=0)] = 5
    """Connections that it may open beyond that under load."""
    database_pool_wait: Seconds = 5.0
    """Seconds that a request waits for a connection, and a writer for SQLite's lock."""

    auth_issuer: Annotated[str, DevelopmentDefault()] = DEVELOPMENT_ISSUER
    """Issuer (OpenID Connect) whose access tokens are accepted. The default is a local key, for development."""
    auth_audience: str = NAME
    """What access tokens must name as their audience: this service."""
    auth_algorithms: tuple[str, ...] = ("RS256", "ES256")
    """Algorithms that the issuer signs with."""
    dev_key_directory: str = ".fastness"
    """Where the local key for development tokens is kept."""

    allowed_hosts: Annotated[tuple[str, ...], DevelopmentDefault()] = ("*",)
    """Host names that the service answers to."""
    cors_origins: tuple[str, ...] = ()
    """Origins of web pages that may call."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies whose X-Forwarded-For is believed."""
    max_body_size: Annotated[int, Field(ge=1024)] = 262_144
    """Bytes of the largest request body."""
    request_deadline: Seconds = 10.0
    """Seconds until a request that is not answered is given up."""
    max_in_flight: Count = 100
    """Requests that a process works on at a time."""
    client_rate_limit: str = "200/second, burst 400"
    """What one client address may send."""
    maintenance_file: Path | None = None
    """While this file exists, everything but probes and metrics is answered with 503."""
    drain_delay: Annotated[float, Field(ge=0)] | None = None
    """Seconds between SIGTERM and the end of accepting; 5 in production, else 0."""

    log_level: str = "INFO"
    """The least severe level that is logged."""
    log_format: Literal["json", "console"] | None = None
    """How logs look; json in production, else console."""

    # feature: redis
    redis_url: Annotated[SecretStr, Secret(min_length=8)] | None = None
    """Redis that all processes share rate limits in; without it each counts by itself."""
    # /feature: redis

    # feature: tracing
    otlp_endpoint: str | None = None
    """OpenTelemetry collector (OTLP over HTTP) that traces are sent to, such as `http://collector:4318`."""
    trace_sample_ratio: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of requests that are traced."""
    # /feature: tracing

    # feature: example
    encryption_keys: SecretStr = SecretStr("cmVsYXktZGV2ZWxvcG1lbnQta2V5LW5vdC1zZWNyZXQ=")
    """Fernet keys that signing secrets, and answers with one, are stored under, the newest first, separated by commas."""
    endpoints_per_tenant: Count = 100
    """Endpoints that a tenant may have."""
    deliver_over_http: bool | None = None
    """Whether endpoints may do without TLS; not in production."""
    deliver_to_networks: tuple[str, ...] | None = None
    """Networks that are not public and may be delivered to; none in production, else this machine."""
    delivery_time_limit: Annotated[float, Field(gt=0, le=LONGEST_DELIVERY)] = 15.0
    """Seconds that a receiver has to answer."""
    delivery_concurrency: Annotated[int, Field(ge=1, le=1000)] = 20
    """Deliveries that a worker makes at a time."""
    keep_events_days: Annotated[int, Field(ge=0, le=36_500)] = 90
    """Days after which events are deleted with their deliveries; 0 keeps them for ever."""
    database_direct_url: Annotated[SecretStr, Secret(min_length=8)] | None = None
    """PostgreSQL itself, where `DATABASE_URL` leads through PgBouncer: workers listen there for what is to be done."""
    # /feature: example

    @property
    def security(self) -> SecurityPolicy:
        """Hosts, origins and sizes as one policy."""
        cors = CORS(origins=self.cors_origins) if self.cors_origins else None
        return SecurityPolicy(hosts=self.allowed_hosts, cors=cors, max_body_size=self.max_body_size)
