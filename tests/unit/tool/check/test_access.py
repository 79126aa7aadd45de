"""Who is asked for credentials: what stands below one path, and what its author says is for all."""

import pytest

from fastness.tool.check.config import Config
from fastness.tool.check.engine import check
from fastness.tool.check.examples import files, project
from fastness.tool.check.rule import Bad
from fastness.tool.check.rules import catalogue

ADMINISTRATION = """
# file: app/main.py
from fastapi import FastAPI
from app import orders, reviews, shops, users
app = FastAPI()
for router in (orders.router, reviews.router, shops.router, users.router):
    app.include_router(router, prefix="/api")
# file: app/orders.py
from fastapi import APIRouter, Security
router = APIRouter(prefix="/admin/orders", dependencies=[Security(str)])
@router.get("")
def orders() -> list: ...
# file: app/users.py
from fastapi import APIRouter, Security
router = APIRouter(prefix="/admin/users", dependencies=[Security(str)])
@router.get("")
def users() -> list: ...
# file: app/shops.py
from fastapi import APIRouter
router = APIRouter(prefix="/shops")
@router.get("")
def shops() -> list: ...
# file: app/reviews.py
from fastapi import APIRouter
router = APIRouter()
@router.get("/reviews")
def reviews() -> list: ...
"""
SIBLINGS = """
from fastapi import APIRouter, Security
router = APIRouter(prefix="/offers")
@router.get("", dependencies=[Security(str)])
def offers() -> list: ...
@router.put("/{id}", dependencies=[Security(str)])
def change(id: int): ...
"""

MAKERS = """
from fastapi import APIRouter, Depends, HTTPException
router = APIRouter()
def current_role(): ...
def require_role(*roles):
    def check(role=Depends(current_role)):
        if role not in roles:
            raise HTTPException(status_code=403)
    return check
def require_admin():
    return require_role("admin")
"""


def _found(source: str, rule: str = "security/unauthenticated-endpoint") -> list[str]:
    report = check(project(files(Bad(source))), Config(), rules=[catalogue()[rule]])
    assert not report.failures
    assert not report.not_checked
    return [finding.message for finding in report.findings]


@pytest.mark.parametrize(
    ("path", "found"),
    [("/admin/reviews/{id}", 1), ("/{id}/administer", 0), ("/admin/login", 0), ("/reviews/latest", 0)],
)
def test_what_stands_below_admin_asks_as_the_rest_of_it_does(path: str, found: int) -> None:
    """Nothing in its file asks, so its siblings are the operations for administrators in the other files."""
    source = f'{ADMINISTRATION}@router.delete("{path}")\ndef act(): ...\n'
    messages = _found(source)
    assert len(messages) == found
    assert all("2 of 2 operations below /admin do" in message for message in messages)


@pytest.mark.parametrize(
    ("body", "found"),
    [
        ("return RedirectResponse('/admin/')", 0),
        ("if get_user(request) is None:\n        return RedirectResponse('/login')\n    return page(request)", 0),
        ("if shown(request):\n        return RedirectResponse('/login')\n    return page(request)", 1),
        ("return page(request)", 1),
    ],
)
def test_who_only_redirects_asks_nobody(body: str, found: int) -> None:
    """Or asks itself, and sends strangers to where they log in."""
    head = "from fastapi import Request\nfrom fastapi.responses import RedirectResponse\n"
    source = f'{ADMINISTRATION}{head}@router.get("/admin")\ndef admin(request: Request):\n    {body}\n'
    assert len(_found(source)) == found


@pytest.mark.parametrize(
    ("above", "summary", "docstring", "found"),
    [
        ("", "Send an offer", "", 1),
        ("", "[PUBLIC] Send an offer", "", 0),
        ("", "", "Send an offer. No login required.", 0),
        ("", "", "Send an offer, without an account.", 0),
        ("# For visitors: no authentication needed\n\n", "", "", 0),
        ("", "Make an offer public", "", 1),
    ],
)
def test_its_author_may_say_that_it_is_for_all(above: str, summary: str, docstring: str, found: int) -> None:
    """In the documentation that clients read, or in a comment above it."""
    source = (
        f'{above}@router.post("/sent", summary="{summary}")\ndef send(text: str):\n    """{docstring}"""\n    return [text]\n'
    )
    assert len(_found(SIBLINGS + source)) == found


@pytest.mark.parametrize(
    ("depends", "found"),
    [
        ("require_admin", ["require_admin only makes require_role.check, which nobody runs: it refuses no request"]),
        ("require_role", ["require_role only makes require_role.check, which nobody runs: it refuses no request"]),
        ("require_admin()", []),
        ("require_role('admin')", []),
        ("current_role", []),
    ],
)
def test_a_maker_of_guards_is_none(depends: str, found: list[str]) -> None:
    """FastAPI calls what it is given, and nobody calls what that returns."""
    source = f'{MAKERS}@router.get("/reports", dependencies=[Depends({depends})])\ndef reports(): ...\n'
    assert _found(source, "security/auth-fails-open") == found


def test_an_endpoint_may_run_what_a_dependency_makes() -> None:
    """It has a name there, and is called by it."""
    source = f'{MAKERS}@router.get("/reports")\ndef reports(role: str, check=Depends(require_admin)):\n    check(role)\n'
    assert _found(source, "security/auth-fails-open") == []
