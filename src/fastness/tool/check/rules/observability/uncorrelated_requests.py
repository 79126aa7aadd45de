"""A response says nothing by which its log could be found.

A user who reports an error has no id to give, and a caller's own request id ends here: the log lines of a request cannot be
told from those of a thousand others, least of all for a 500, which is when they are wanted.

Take `X-Request-ID` or `traceparent` where they are sent, make an id where not, put it into every log line and every response,
those of errors too. The probe sends both headers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.boot import Probed
from fastness.tool.boot.probed import Answer
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Bad, Found, Good, rule
from fastness.tool.findings import Severity

_NAME = re.compile(
    r"(?:request|correlation|trace|transaction)[-_]?id|^traceparent$|^traceresponse$|^x-amzn-trace", re.IGNORECASE
)


@rule(severity=Severity.INFO, practice="8.1", help="answer with the request's id, in a header, also when it failed")
def check(served: Served, probed: Probed) -> Iterator[Found]:
    fine, failed = probed.answer("correlated", 200), probed.answer("correlated_failure", 500)
    if fine is None or not fine.reached:
        return
    if not _carries(fine):
        yield served.at_app("responses carry no request id, not even one that the caller sent")
    elif failed is not None and not _carries(failed):
        yield served.at_app(
            "a 500 carries no request id, although other responses do: it is answered outside of the middleware"
        )


def _carries(answer: Answer) -> bool:
    members = answer.members or ()
    return any(_NAME.search(name) for name, _ in answer.headers) or any(_NAME.search(name) for name in members)


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()  # found
    """),
    Bad("""
        from uuid import uuid4
        from fastapi import FastAPI

        app = FastAPI()  # found

        @app.middleware("http")
        async def identified(request, call_next):
            response = await call_next(request)
            response.headers["X-Request-ID"] = request.headers.get("x-request-id") or uuid4().hex
            return response
    """),
    Good("""
        from fastapi import FastAPI
        from fastness.context import ContextMiddleware
        from fastness.problems import ProblemMiddleware

        app = FastAPI()
        app.add_middleware(ProblemMiddleware)
        app.add_middleware(ContextMiddleware)
    """),
    Good(
        """
        from fastapi import FastAPI, Request
        from fastapi.responses import JSONResponse

        async def failed(request: Request, error: Exception):
            return JSONResponse({"detail": "internal error", "trace_id": "1"}, 500)

        app = FastAPI(exception_handlers={Exception: failed})

        @app.middleware("http")
        async def identified(request, call_next):
            response = await call_next(request)
            response.headers["X-Correlation-ID"] = "1"
            return response
    """,
        "the 500 has it in its body",
    ),
    Good(
        """
        from fastapi import FastAPI
        from starlette.responses import JSONResponse

        class Traced:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                async def traced(message):
                    if message["type"] == "http.response.start":
                        message["headers"] = [*message["headers"], (b"traceresponse", b"00-1-2-01")]
                    await send(message)

                try:
                    await self.app(scope, receive, traced)
                except Exception:
                    await JSONResponse({"detail": "internal error"}, 500)(scope, receive, traced)

        app = FastAPI()
        app.add_middleware(Traced)
    """,
        "the id of a trace is one, and a middleware of its own around everything gives it to failures too",
    ),
]
