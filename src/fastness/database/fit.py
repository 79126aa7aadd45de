"""Whether all connections that a fleet may open fit into what the database admits. One query, at start or by hand.

A pool that is too large is no fault as long as traffic is low; it is found on the day when every replica needs its overflow,
as refused connections. Sources: https://www.postgresql.org/docs/current/runtime-config-connection.html and
https://www.pgbouncer.org/features.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from fastness.database.engine import PoolSize

Verdict = Literal["fits", "tight", "too many"]

WORKER_CONNECTIONS: Final = 3
"""What a worker of `fastness.jobs` opens beside its pool: two for its queue, and one that listens."""

_TIGHT = 0.8

# -1 is "no limit" for roles and databases. Superusers may take the reserved connections and ignore the other limits, but a
# service that counts on them leaves none for whoever comes to help.
_LIMITS = text("""
    SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
             - coalesce(current_setting('reserved_connections', true)::int, 0) AS server,
           (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role,
           (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database,
           pg_backend_pid() AS pid
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """How many processes open pools on one database.

    Attributes:
        replicas: of the service, when there are most.
        surge: more of them while a release rolls out.
        processes: server processes of a replica.
        workers: worker processes, over all. A server that runs jobs itself needs `WORKER_CONNECTIONS` more in `reserve`.
        reserve: connections for migrations, backups, people and monitoring.
    """

    replicas: int = 1
    surge: int = 0
    processes: int = 1
    workers: int = 0
    reserve: int = 3

    def __post_init__(self) -> None:
        if min(self.replicas, self.processes) < 1 or min(self.surge, self.workers, self.reserve) < 0:
            raise ValueError(f"fleet: {self} needs replicas and processes from 1 up, and nothing below 0")

    def demand(self, pool: PoolSize) -> int:
        """Connections that may be open at once, when every process has a pool of that size."""
        servers = (self.replicas + self.surge) * self.processes
        return servers * pool.most + self.workers * (pool.most + WORKER_CONNECTIONS) + self.reserve


class Fit(NamedTuple):
    """What was found.

    Attributes:
        demand: connections that the fleet may open.
        limit: connections that are admitted; None on SQLite, which has no such limit.
        limited_by: `server`, `role` or `database`: whose limit it is.
        pooler: a pooler such as PgBouncer stands in between. The server's limits are then the pooler's to keep, and the demand
            is to be compared with its `max_client_conn`.
    """

    demand: int
    limit: int | None = None
    limited_by: str = ""
    pooler: bool = False

    @property
    def verdict(self) -> Verdict:
        """`too many` when they do not fit; `tight` above 80 %."""
        if self.limit is None or self.pooler:
            return "fits"
        if self.demand > self.limit:
            return "too many"
        return "tight" if self.demand > _TIGHT * self.limit else "fits"

    def __str__(self) -> str:
        if self.limit is None:
            return "SQLite admits any number of readers and one writer at a time; there is no limit of connections to keep"
        if self.pooler:
            return (
                f"up to {self.demand} connections go to a pooler: its max_client_conn must be at least that, "
                f"and its pools must fit the {self.limit} that the {self.limited_by} admits"
            )
        return f"up to {self.demand} connections, and the {self.limited_by} admits {self.limit}: {self.verdict}"


async def examine(engine: AsyncEngine, *, pool: PoolSize, fleet: Fleet) -> Fit:
    """Compare what the fleet may open with what the database admits.

    Raises:
        sqlalchemy.exc.OperationalError: the database does not answer; so for the other errors of `UNAVAILABLE`.
    """
    demand = fleet.demand(pool)
    if engine.dialect.name == "sqlite":
        return Fit(demand)
    async with engine.connect() as connection:
        raw = await connection.get_raw_connection()
        driver = raw.driver_connection
        greeted_by = driver.info.backend_pid if driver is not None else 0
        row = (await connection.execute(_LIMITS)).one()
    limits = {"server": row.server, "role": row.role, "database": row.database}
    limited_by = min((name for name, limit in limits.items() if limit >= 0), key=lambda name: limits[name])
    # A pooler greets with a process id of its own making; the server behind it tells its true one.
    return Fit(demand, limits[limited_by], limited_by, pooler=greeted_by != row.pid)
