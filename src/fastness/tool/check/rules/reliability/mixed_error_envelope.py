"""Errors come in several forms.

A client that reads `detail` of a 404 finds a list in it for a 422, and no JSON at all in a 500, which Starlette answers in
plain text: its error handling fails in the very moment for which it was written.

Give all of them one form, such as RFC 9457's problem details, in handlers for `HTTPException`, `RequestValidationError` and
`Exception`. The probe asks for a 404, 405, 422, 500 and, where there is a limit, a 413.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.boot import Probed
from fastness.tool.boot.probed import Answer
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Bad, Found, Good, rule
from fastness.tool.findings import Severity

_ASKED = {"missing": 404, "method": 405, "oversized": 413, "invalid": 422, "failed": 500}


@rule(severity=Severity.INFO, practice="5.1", help="answer every error in one form: handlers for all three, and for the 500")
def check(served: Served, probed: Probed) -> Iterator[Found]:
    answers = {status: answer for name, status in _ASKED.items() if (answer := probed.answer(name, status)) is not None}
    if served.app.main.debug:
        answers.pop(500, None)  # Starlette's own page, which is a finding of its own
    not_json = [str(status) for status, answer in answers.items() if answer.members is None]
    if not_json and len(not_json) < len(answers):
        yield served.at_app(f"a {' and a '.join(not_json)} is no JSON, while other errors are")
        return
    forms: dict[object, list[int]] = {}
    for status, answer in answers.items():
        forms.setdefault(_form(answer), []).append(status)
    if len(forms) > 1:
        groups = "; ".join(f"{', '.join(map(str, statuses))} as {_told(answers[statuses[0]])}" for statuses in forms.values())
        yield served.at_app(f"errors come in {len(forms)} forms: {groups}")


def _form(answer: Answer) -> object:
    """What a client relies on: the media type, and members that every error of the form has, whatever else it adds."""
    members = answer.members or frozenset()
    core = members & {"type", "title", "status", "detail", "error", "errors", "code", "message"}
    return answer.media_type, ("type" in core and "title" in core) or core


def _told(answer: Answer) -> str:
    return f"{answer.media_type} with {', '.join(sorted(answer.members or ())) or 'nothing'}"


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI

        app = FastAPI()  # found
    """),
    Bad("""
        from fastapi import FastAPI
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import JSONResponse

        async def failed(request, error):
            return JSONResponse({"error": "internal"}, 500)

        app = FastAPI(exception_handlers={Exception: failed})  # found
    """),
    Good("""
        from fastapi import FastAPI
        from fastness import problems

        app = FastAPI(exception_handlers=problems.handlers())
    """),
    Good(
        """
        from fastapi import FastAPI
        from fastapi.responses import JSONResponse

        async def failed(request, error):
            return JSONResponse({"detail": "internal error"}, 500)

        app = FastAPI(exception_handlers={Exception: failed})
    """,
        "one member in all of them, though a 422 has a list in it",
    ),
    Good(
        """
        from fastapi import FastAPI
        from fastapi.exceptions import RequestValidationError
        from fastapi.responses import JSONResponse
        from starlette.exceptions import HTTPException

        async def refused(request, error):
            return JSONResponse({"error": {"code": error.status_code}}, error.status_code)

        async def invalid(request, error):
            return JSONResponse({"error": {"code": 422, "fields": []}}, 422)

        async def failed(request, error):
            return JSONResponse({"error": {"code": 500}}, 500)

        app = FastAPI(
            exception_handlers={HTTPException: refused, RequestValidationError: invalid, Exception: failed},
        )
    """,
        "a form of one's own is one form, when all three handlers speak it",
    ),
]
