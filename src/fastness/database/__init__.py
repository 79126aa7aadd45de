"""The database of a service: engine, connections, and the unit of work that services open and close.

`fastness.idempotency` and `fastness.jobs` write into the same transaction. Needs the extra `fastness[db]`.
"""

from fastness.database.engine import UNAVAILABLE, PoolSize, create_engine, parse_url
from fastness.database.fit import Fit, Fleet, examine
from fastness.database.resource import CurrentUnit, Database
from fastness.database.schema import Schema, SchemaBehind
from fastness.database.unit import Isolation, UnitError, UnitOfWork

__all__ = [
    "UNAVAILABLE",
    "CurrentUnit",
    "Database",
    "Fit",
    "Fleet",
    "Isolation",
    "PoolSize",
    "Schema",
    "SchemaBehind",
    "UnitError",
    "UnitOfWork",
    "create_engine",
    "examine",
    "parse_url",
]
