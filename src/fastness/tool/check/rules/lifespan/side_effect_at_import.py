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

from fastness.tool.check.knowledge import blocking
from fastness.tool.check.knowledge.imports import loaded_by
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.module import Module
from fastness.tool.project.symbols import CallSite, constant
from fastness.tool.project.values import External

_WRITES = re.compile(
    r"os\.(?:makedirs|mkdir|remove|unlink|rename|rmdir)|pathlib\.Path\(\)\.(?:mkdir|unlink|write_\w+|touch|rmdir)|shutil\.\w+"
)
_KINDS = {blocking.NETWORK, blocking.DATABASE, blocking.SUBPROCESS, blocking.SLEEP}


@rule(severity=Severity.WARNING, practice="2.5", help="do it in the lifespan")
def check(service: Service) -> Iterator[Found]:
    roots = {route.handler.module for route in service.routes} | {_module(app.scope) for app in service.apps}
    for module in sorted(loaded_by(service.project, roots), key=lambda module: module.path):
        if not module.is_service:
            continue
        for site in module.calls:
            what = None if site.deferred else _effect(service, site)
            if what is not None and not _is_main(module, site):
                yield found(module, site.node, f"importing {module.name or module.path} {what}: {ast.unparse(site.node.func)}")


def _module(scope: object) -> Module:
    return scope if isinstance(scope, Module) else scope.module  # type: ignore[attr-defined]


def _effect(service: Service, site: CallSite) -> str | None:
    for value in service.resolver.targets(site):
        if not isinstance(value, External):
            continue
        if _WRITES.fullmatch(value.path):
            return "changes the file system"
        kind = blocking.kind(value.path)
        if kind in _KINDS:
            return f"waits for the {kind}" if kind in {blocking.DATABASE, blocking.NETWORK} else f"makes a {kind} call"
        if value.path == "open" and str(constant(site.argument("mode", 1)) or "r")[0] in "wax":
            return "writes a file"
    return None


def _is_main(module: Module, site: CallSite) -> bool:
    return any(
        isinstance(node, ast.If)
        and "__name__" in ast.unparse(node.test)
        and node.lineno <= site.node.lineno <= (node.end_lineno or 0)
        for node in module.tree.body
    )


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
