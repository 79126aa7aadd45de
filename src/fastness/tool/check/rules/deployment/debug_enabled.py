"""The app runs in debug mode.

Every exception is answered with a page that shows the traceback, the source around it and the values of local variables, to
whoever caused it.

Leave `debug` out, or read it from a setting whose default is off, and switch it on where you work.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import literals
from fastness.tool.project.routes import Router
from fastness.tool.project.symbols import argument


@rule(severity=Severity.ERROR, practice="5.3", help="leave `debug` out, or give the setting behind it the default `False`")
def check(served: Served) -> Iterator[Found]:
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
        from fastapi import FastAPI

        app = FastAPI(
            title="shop",
            debug=True,  # found
        )
    """),
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()  # found
        app.debug = True
    """),
    Bad("""
        from fastapi import FastAPI

        class Settings:
            debug: bool = True

        app = FastAPI(
            debug=Settings().debug,  # found
        )
    """),
    Good("""
        from fastapi import FastAPI

        app = FastAPI()
    """),
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
    ),
]
