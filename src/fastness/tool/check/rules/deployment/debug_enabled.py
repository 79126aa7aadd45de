"""The service runs in debug mode in production.

`FastAPI(debug=True)` answers an unexpected error with the traceback, source lines and local values, and `--reload` watches
files, restarts in the middle of requests and keeps one worker. Both are found by the first stranger who causes an error.

Read it from a setting whose default is off, and let only the developer's own start command reload.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import replace

from fastness.tool.check.knowledge.facts import delivery
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.routes import Router
from fastness.tool.project.source.symbols import Scope, argument
from fastness.tool.project.source.walk import walk

_DEVELOPS = re.compile(
    r"\bfastapi\s+dev\b|\buvicorn\b.*\s--reload\b|\bgunicorn\b.*\s--reload\b|\bhypercorn\b.*\s(?:--reload|--debug)\b"
)
_SETS = re.compile(r"\.debug[\s\\)]*=(?!=)")
_RUNS = re.compile(r"\bpython3?\s+(?:-m\s+)?([\w./]+)")


@rule(severity=Severity.ERROR, practice="10.1", help="read it from a setting that is off by default")
def check(service: Service, served: Served | None) -> Iterator[Found]:
    faults = list(_static(service))
    yield from faults
    told = {fault.path for fault in faults}
    if served is not None:
        yield from (replace(f, source="boot") for f in _at_boot(served) if f.path not in told)


def _static(service: Service) -> Iterator[Found]:
    for app in service.apps:
        if app.included_in or app.scope is None:
            continue
        yield from _switched_on(
            service, argument(app.call, "debug"), app.scope, "debug is on: errors are answered with tracebacks"
        )
    for module in service.project.service:
        if _SETS.search(module.text):
            for node in walk(module.tree):
                if isinstance(node, ast.Assign) and any(
                    isinstance(t, ast.Attribute) and t.attr == "debug" for t in node.targets
                ):
                    target = next(t for t in node.targets if isinstance(t, ast.Attribute))
                    if service.is_router(target.value, module) and _value(service, node.value, module) is True:
                        yield found(module, node, "debug is on: errors are answered with tracebacks")
    lines = list(delivery.commands(service.project))
    for line in lines:
        if _DEVELOPS.search(line.text):
            yield line.found("production starts with the options for development: " + line.text[:100])
    yield from _reloads(service, " ".join(line.text for line in lines))


def _switched_on(service: Service, given: ast.expr | None, scope: Scope, message: str) -> Iterator[Found]:
    if given is None:
        return
    origin, holder = literals.origin(service.resolver, given, scope)
    if _value(service, given, scope) is True:
        yield found(scope, given, message, *([] if origin is given else [proof(holder, origin, "on, unless somebody sets it")]))


def _value(service: Service, node: ast.expr, scope: Scope) -> object:
    origin, _ = literals.origin(service.resolver, node, scope)
    return origin.value if isinstance(origin, ast.Constant) else None


def _reloads(service: Service, commands: str) -> Iterator[Found]:
    """`uvicorn.run(..., reload=True)` in a file that production starts with `python`."""
    started = {name.removesuffix(".py").replace("/", ".").strip(".") for name in _RUNS.findall(commands)}
    for module in service.project.service:
        known_as = {module.name, module.path.removesuffix(".py").replace("/", ".")}
        if started.isdisjoint({*known_as, *(name.removesuffix(".__main__") for name in known_as)}):  # `python -m package`
            continue
        for site in module.calls_by_name.get("run", ()):
            if service.resolver.calls(site, "uvicorn.run"):
                yield from _switched_on(
                    service, site.argument("reload"), site.scope, "production starts this file, and it reloads"
                )


def _at_boot(served: Served) -> Iterator[Found]:
    for app in served.app.apps:
        router = served.router(app)
        if not app.debug or (router is not None and _is_off_by_default(served, router)):
            continue
        given = argument(router.call, "debug") if router is not None else None
        message = "the booted app is in debug mode: it shows tracebacks and local variables to its clients"
        if router is not None and given is not None:
            yield found(router.scope, given, message)
        else:
            yield served.at_app(message, app=app)


def _is_off_by_default(served: Served, router: Router) -> bool:
    """The environment in which it was booted switched it on, and another will not."""
    given = argument(router.call, "debug")
    if given is None:
        return False
    value, _ = literals.origin(served.service.resolver, given, router.scope)
    return isinstance(value, ast.Constant) and value.value in (False, None, "", "0", "false", "False")


EXAMPLES = [
    Bad("""
        # file: app/config.py
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            debug: bool = True

        settings = Settings()
        # file: app/main.py
        import uvicorn
        from fastapi import FastAPI
        from app.config import settings

        app = FastAPI(debug=True)  # found
        other = FastAPI(
            debug=settings.debug,  # found
        )
        other.debug = True  # found

        if __name__ == "__main__":
            uvicorn.run("app.main:app", reload=True)  # found
        # file: Procfile
        web: python app/main.py
    """),
    Bad("""
        # file: Dockerfile
        FROM python:3.12
        CMD ["uvicorn", "app.main:app", "--reload"]  # found
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()
    """),
    Good(
        """
        # file: app/config.py
        import os
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            debug: bool = False

        settings = Settings()
        verbose = os.getenv("DEBUG", "") == "1"
        # file: app/main.py
        from fastapi import FastAPI
        from app.config import settings, verbose

        app = FastAPI(debug=settings.debug)
        other = FastAPI(debug=verbose)
        # file: tests/test_app.py
        from fastapi import FastAPI

        app = FastAPI(debug=True)
    """,
        "off by default, from the environment, and in a test",
    ),
    Good(
        """
        # file: app/main.py
        import uvicorn
        from fastapi import FastAPI

        app = FastAPI()

        if __name__ == "__main__":
            uvicorn.run("app.main:app", reload=True)
        # file: Dockerfile
        FROM python:3.12
        CMD ["uvicorn", "app.main:app"]
    """,
        "the file reloads for its developer; production starts another way",
    ),
    Good(
        """
        # file: Dockerfile.dev
        FROM python:3.12
        CMD ["fastapi", "dev"]
        # file: dev/docker/startup.sh
        uvicorn app.main:app --reload
        # file: scripts/run_dev.sh
        uvicorn app.main:app --reload
        # file: start.sh
        echo "for development: uvicorn app.main:app --reload"
        uvicorn app.main:app
        # file: compose.yaml
        services:
          api:
            command: uvicorn app.main:app --reload
        # file: app/main.py
        from fastapi import FastAPI

        app = FastAPI()

        class Robot:
            debug = False

        Robot().debug = True
    """,
        "an image and a script for development, a compose file, a hint, and another thing's debug",
    ),
    Bad(
        """
        from fastapi import FastAPI

        app = FastAPI(
            title="shop",
            debug=True,  # found
        )
    """,
        booted=True,
    ),
    Bad(
        """
        from fastapi import FastAPI

        app = FastAPI()
        app.debug = True  # found
    """,
        booted=True,
    ),
    Bad(
        """
        from fastapi import FastAPI

        class Settings:
            debug: bool = True

        app = FastAPI(
            debug=Settings().debug,  # found
        )
    """,
        booted=True,
    ),
    Good(
        """
        from fastapi import FastAPI

        app = FastAPI()
    """,
        booted=True,
    ),
    Good(
        """
        from fastapi import FastAPI
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            debug: bool = False

        settings = Settings()
        settings.debug = True
        app = FastAPI(debug=settings.debug)
    """,
        "where it was booted it is on; by default it is off",
        booted=True,
    ),
    Good(
        """
        import logging
        from fastapi import FastAPI

        logging.basicConfig(level=logging.DEBUG)
        DEBUG = False
        app = FastAPI(debug=DEBUG)
    """,
        "logging at that level is not debug mode",
        booted=True,
    ),
    Bad("""
        # file: api/Dockerfile
        FROM python:3.12 AS prod
        CMD ["python", "-m", "shop"]
        FROM prod as dev
        CMD ["uvicorn", "shop.app:app", "--reload"]
        # file: api/shop/__init__.py
        # file: api/shop/settings.py
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            reload: bool = True

        settings = Settings()
        # file: api/shop/__main__.py
        import uvicorn
        from shop.settings import settings

        uvicorn.run("shop.app:app", reload=settings.reload)  # found
        # file: api/shop/app.py
        from fastapi import FastAPI

        app = FastAPI()
    """),
]
