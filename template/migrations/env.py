"""How Alembic reaches the database: with the service's own settings."""

import pkgutil
from importlib import import_module
from typing import Any, Literal

from fastness.database import migrations

# feature: example
from fastness.idempotency import records
from fastness.jobs.migrations import include_name

# /feature: example
import app.infra.db
from app.core.config import Settings
from app.infra.db.base import Base, Timestamp

# Tables register with `Base.metadata` when their module is imported, wherever in the package that is.
for module in pkgutil.iter_modules(app.infra.db.__path__):
    import_module(f"{app.infra.db.__name__}.{module.name}")


def render_item(kind: str, item: Any, _: object) -> str | Literal[False]:
    """How autogenerate writes a type: migrations must not change when the code that they once came from does."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Timestamp) else False


metadata = [Base.metadata]
options: dict[str, Any] = {"render_item": render_item}
# feature: example
metadata.append(records.metadata)
options["include_name"] = include_name  # the tables of jobs are not ours to compare
# /feature: example
migrations.run(Settings().database_url.get_secret_value(), metadata=metadata, **options)
