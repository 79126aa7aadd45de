"""Responses lack the headers that make browsers careful.

Without `X-Content-Type-Options: nosniff` an uploaded file or a JSON error may run as script, without a frame policy the pages
can be put under somebody else's, and without `Strict-Transport-Security` the first request of every visit can be read and
changed. An error that is answered outside of the middleware has none of them even where everything else does.

Set them once, in the outermost middleware, and let it cover the answers that errors get.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.boot import Probed
from fastness.tool.boot.probed import Answer
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Bad, Found, Good, rule
from fastness.tool.findings import Severity


@rule(severity=Severity.INFO, practice="6.4", help="set them in the outermost middleware, for every response")
def check(served: Served, probed: Probed) -> Iterator[Found]:
    fine, failed = probed.answer("fine", 200), probed.answer("failed", 500)
    if fine is None or not fine.reached:
        return
    missing = _missing(fine)
    if missing:
        yield served.at_app(f"responses have no {', no '.join(missing)}")
    elif failed is not None and (lost := _missing(failed)):
        yield served.at_app(f"a 500 is answered outside of the middleware: it has no {', no '.join(lost)}")


def _missing(answer: Answer) -> list[str]:
    missing = []
    if (answer.header("x-content-type-options") or "").lower() != "nosniff":
        missing.append("X-Content-Type-Options: nosniff")
    if not answer.header("x-frame-options") and "frame-ancestors" not in (answer.header("content-security-policy") or ""):
        missing.append("X-Frame-Options or frame-ancestors")
    if not answer.header("strict-transport-security"):
        missing.append("Strict-Transport-Security")
    return missing


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()  # found
    """),
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()  # found

        @app.middleware("http")
        async def secured(request, call_next):
            response = await call_next(request)
            response.headers["X-Content-Type-Options"] = "nosniff"
            response.headers["X-Frame-Options"] = "DENY"
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
            return response
    """),
    Good("""
        from fastapi import FastAPI
        from fastness.problems import ProblemMiddleware
        from fastness.security import SecurityMiddleware, SecurityPolicy

        app = FastAPI()
        app.add_middleware(ProblemMiddleware)
        app.add_middleware(SecurityMiddleware, policy=SecurityPolicy())
    """),
    Good(
        """
        from fastapi import FastAPI
        from starlette.responses import JSONResponse

        app = FastAPI()

        @app.middleware("http")
        async def closed(request, call_next):
            return JSONResponse({"detail": "who are you?"}, 401)
    """,
        "no route answered, so nothing is known of those that do",
    ),
    Good(
        """
        from fastapi import FastAPI
        from starlette.responses import JSONResponse

        HEADERS = [
            (b"x-content-type-options", b"nosniff"),
            (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'"),
            (b"strict-transport-security", b"max-age=31536000"),
        ]

        class Careful:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                async def careful(message):
                    if message["type"] == "http.response.start":
                        message["headers"] = [*message["headers"], *HEADERS]
                    await send(message)

                try:
                    await self.app(scope, receive, careful)
                except Exception:
                    await JSONResponse({"detail": "internal error"}, 500)(scope, receive, careful)

        app = FastAPI()
        app.add_middleware(Careful)
    """,
        "a policy of content says who may frame, in place of the older header",
    ),
]
