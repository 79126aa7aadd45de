"""What a PostgreSQL server that is no primary any more says to whoever writes.

After a failover the pool can hold connections to the server that was the primary, and lives on as a standby or takes no writes
for another reason. For reading they are as good as before, so nothing would replace them, and every write would fail until the
process is started again. So a write that is refused for this reason counts as a lost connection: what is raised says that the
database is not available, and the next one connects anew, to wherever the address leads by then. With several hosts in the
URL, `target_session_attrs=read-write` has libpq look for the primary among them.
"""

from __future__ import annotations

from sqlalchemy.exc import OperationalError

# `read_only_sql_transaction`: https://www.postgresql.org/docs/current/errcodes-appendix.html
_READ_ONLY = "25006"


def lost(error: BaseException, statement: str | None) -> OperationalError | None:
    """What to raise instead of a driver's error that says so, in a transaction that was to write; None for any other error."""
    if getattr(error, "sqlstate", None) != _READ_ONLY:
        return None
    return OperationalError(statement, None, error, hide_parameters=True, connection_invalidated=True)
