"""Importing the app does something.

Whatever runs on import runs in every worker, every test and every command that mentions the module, before logging and
settings are ready, and its failure is an `ImportError` in a place that has nothing to do with it. A read-only container
cannot start.

Do it in the lifespan.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts.chains import told
from fastness.tool.check.knowledge.facts.imports import made_by_importing
from fastness.tool.check.knowledge.running import blocking
from fastness.tool.check.rule import Bad, Found, Good, found, module_of, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Chain, Edge, Outward
from fastness.tool.project.source.symbols import CallSite, Function, constant

_WRITES = re.compile(
    r"os\.(?:makedirs|mkdir|remove|unlink|rename|rmdir)|pathlib\.Path\(\)\.(?:mkdir|unlink|write_\w+|touch|rmdir)"
    r"|shutil\.(?:copy\w*|move|rmtree|chown|make_archive|unpack_archive)"
)
_LOG_FILES = re.compile(r"logging\.(?:handlers\.)?\w*FileHandler")
_FILES = "file system"
_KINDS = (blocking.NETWORK, blocking.DATABASE, blocking.SUBPROCESS, blocking.SLEEP, _FILES)  # worst first
_STEPS = 3  # functions of the project between the import and the effect


@rule(severity=Severity.WARNING, practice="2.5", help="do it in the lifespan")
def check(service: Service) -> Iterator[Found]:
    made = made_by_importing(service)
    chains = service.graph.nearest((target for one in made for target in one.targets), _kind, through=_is_run)
    reported: set[CallSite] = set()
    for one in made:
        site = one.site
        kind = next((kind for call in one.outward if (kind := _kind(call))), None)
        if kind is not None:
            yield found(site.scope, site.node, _message(site, kind))
            continue
        reached = (chain for target in one.targets for chain in sorted(chains.get(target, {}).values(), key=_worst))
        chain = next((way for way in reached if len(way.edges) < _STEPS and way.last.site not in reported), None)
        if chain is not None:
            kind = _kind(chain.last) or ""
            reported.add(chain.last.site)
            yield found(site.scope, site.node, _message(site, kind), *told(chain, _EFFECTS[kind]))


_EFFECTS = {
    blocking.NETWORK: "waits for the network",
    blocking.DATABASE: "waits for the database",
    blocking.SUBPROCESS: "makes a subprocess call",
    blocking.SLEEP: "makes a sleep call",
    _FILES: "changes the file system",
}


def _message(site: CallSite, kind: str) -> str:
    module = module_of(site.scope)
    return f"importing {module.name or module.path} {_EFFECTS[kind]}: {ast.unparse(site.node.func)}"


def _worst(chain: Chain) -> int:
    return _KINDS.index(_kind(chain.last) or _FILES)


def _is_run(edge: Edge) -> bool:
    """A coroutine that is only made does nothing."""
    return edge.site.awaited or not edge.target.is_async


def _kind(call: Outward) -> str | None:
    """What a call does to the world outside of the process."""
    path = call.target.path
    kind = blocking.kind(path)
    if kind not in _KINDS:
        writes = _WRITES.fullmatch(path) or _LOG_FILES.fullmatch(path) or (path == "open" and _opens_to_write(call))
        kind = _FILES if writes else None
    return kind if kind is not None and not _is_unasked(call.site) else None


def _opens_to_write(call: Outward) -> bool:
    return str(constant(call.site.argument("mode", 1)) or "r")[0] in "wax"


def _is_unasked(site: CallSite) -> bool:
    """The function does it for who asks: `if create:`, with `create=False`."""
    if not isinstance(site.scope, Function):
        return False
    unasked = {one.arg for one, default in site.scope.parameters if isinstance(default, ast.Constant) and not default.value}
    for node in site.scope.nodes if unasked else ():
        match node:
            case ast.If(test=ast.Name(id=name), body=[*_, last]) if name in unasked:
                if node.lineno <= site.node.lineno <= (last.end_lineno or 0):
                    return True
    return False


EXAMPLES = [
    Bad("""
        # file: app/main.py
        from fastapi import FastAPI
        from app import storage

        app = FastAPI()
        # file: app/storage.py
        import os
        import requests

        os.makedirs("uploads", exist_ok=True)  # found
        KEYS = requests.get("https://example.org/keys").json()  # found
    """),
    Bad("""
        # file: app/main.py
        import asyncio
        from logging.handlers import RotatingFileHandler
        from fastapi import FastAPI
        from app.storage import Uploads, answers, prepare, sent

        handler = RotatingFileHandler("orders.log")  # found
        uploads = Uploads()  # found
        prepare("logs/orders.log")  # found
        prepare("logs/users.log")
        ready = answers()  # found
        asyncio.run(sent())  # found
        app = FastAPI()
        # file: app/storage.py
        import os
        from pathlib import Path
        import httpx
        import redis

        class Uploads:
            def __init__(self):
                if not os.path.exists("uploads"):
                    os.makedirs("uploads")

        def prepare(file):
            folder = Path(file).expanduser().parent
            folder.mkdir(parents=True, exist_ok=True)

        def answers():
            try:
                return redis.Redis().ping()
            except redis.ConnectionError:
                return False

        async def sent():
            httpx.get("https://example.org/started")
    """),
    Good(
        """
        # file: app/main.py
        import shutil
        from fastapi import FastAPI
        from app.storage import Uploads, client, settings, work

        uploads = Uploads()
        prices = client()
        known = settings()
        app = FastAPI()
        width = shutil.get_terminal_size().columns
        # file: app/storage.py
        import json
        import os
        import httpx

        class Uploads:
            def __init__(self, create=False):
                if create:
                    os.makedirs("uploads")

            def save(self, name):
                os.makedirs(name)

        def client():
            return httpx.Client()

        def settings():
            later(work())
            with open("settings.json") as file:
                return json.load(file)

        def later(job):
            job.close()

        async def work():
            os.remove("old")
    """,
        "what is only made, read, or done for who asks for it",
    ),
    Good("""
        # file: app/main.py
        import os
        import redis
        import uvicorn
        from fastapi import FastAPI

        app = FastAPI()
        client = redis.from_url("redis://localhost")
        VERSION = open("VERSION").read()

        def prepare():
            os.makedirs("uploads")

        if __name__ == "__main__":
            os.makedirs("logs")
            uvicorn.run(app)
        # file: app/seed.py
        import os

        os.makedirs("seeds")
    """),
    Good(
        """
        import boto3
        import httpx
        import redis
        from pathlib import Path
        from fastapi import FastAPI
        from sqlalchemy import create_engine

        app = FastAPI()
        engine = create_engine("postgresql://localhost/app")
        bucket = boto3.client("s3")
        cache = redis.Redis()
        client = httpx.Client()
        HERE = Path(__file__).parent
        VERSION = (HERE / "VERSION").read_text()
        with open(HERE / "banner.txt") as file:
            BANNER = file.read()
    """,
        "a client is made and speaks to nobody yet; a file is read, not written",
    ),
    Good(
        """
        import os
        import subprocess
        from pathlib import Path
        from fastapi import FastAPI

        app = FastAPI()
        revision = lambda: subprocess.run(["git", "rev-parse", "HEAD"])

        class Store:
            path = Path("uploads")

            def __init__(self):
                self.path.mkdir(exist_ok=True)

            @staticmethod
            def clean():
                os.remove("uploads/old")

        @app.on_event("startup")
        def prepare():
            os.makedirs("uploads", exist_ok=True)
    """,
        "in functions, methods, lambdas and decorators' bodies, which wait for somebody to call them",
    ),
]
