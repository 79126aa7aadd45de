"""`fastness doctor`: looks at what a service runs on. The service's settings and secrets stay in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fastness.tool import declaration
from fastness.tool.errors import FAILED, OK, CommandError

_TIME_LIMIT = 60  # seconds
_FACTS = ("surge", "processes", "workers")

# Asked in the service's own interpreter. Another service than one of `fastness new` gives the URL in DATABASE_URL.
_QUESTION = """
import asyncio, json, os, sys
from fastness.database import UNAVAILABLE, Fleet, PoolSize, create_engine, examine

try:
    from app.core.config import Settings
except ModuleNotFoundError:
    url, pool = os.environ.get("DATABASE_URL", ""), PoolSize()
else:
    settings = Settings()
    url = settings.database_url.get_secret_value()
    pool = PoolSize(kept=settings.database_pool_size, overflow=settings.database_pool_overflow)

async def look():
    engine = create_engine(url, pool=PoolSize(kept=1, overflow=0), application="fastness doctor")
    try:
        return await examine(engine, pool=pool, fleet=Fleet(**json.loads(sys.argv[1])))
    finally:
        await engine.dispose()

try:
    fit = asyncio.run(look())
except ValueError as error:
    raise SystemExit(str(error))
except UNAVAILABLE as error:
    raise SystemExit("the database does not answer: " + " ".join(str(getattr(error, "orig", None) or error).split()))
print(json.dumps({"verdict": fit.verdict, "text": str(fit), "pool": pool.most}))
"""


def database(directory: Path) -> int:
    """Say whether the connections that all processes of the service may open fit its database; exit code 1 when not.

    How many processes there are is read from `[tool.fastness]`.

    Raises:
        CommandError: the settings cannot be read, or the database does not answer.
    """
    fleet = _fleet(directory)
    try:
        done = subprocess.run(
            [sys.executable, "-c", _QUESTION, json.dumps(fleet)],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=_TIME_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"the database did not answer within {_TIME_LIMIT} seconds") from None
    if done.returncode != 0:
        raise CommandError((done.stderr.strip().splitlines() or ["the settings could not be read"])[-1])
    answer = json.loads(done.stdout.splitlines()[-1])
    counted = ", ".join(f"{name} {number}" for name, number in fleet.items())
    rest = "3 more for each worker, 3 in reserve"
    print(f"{answer['text']}\n  counted: {counted}, {answer['pool']} connections for each process, {rest}")
    return FAILED if answer["verdict"] == "too many" else OK


def _fleet(directory: Path) -> dict[str, int]:
    facts = declaration.read(directory).values
    fleet = {name: facts[name] for name in _FACTS if name in facts}
    fleet["replicas"] = max(facts.get("replicas", 1), facts.get("max_replicas", 1))
    return fleet
