"""The typed views of what another process wrote."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.tool.boot.app import Place, Reader
from fastness.tool.boot.start import understood
from fastness.tool.check import engine, examples
from fastness.tool.check.config import Config
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rules import catalogue

ROOT = Path("/srv/shop")
BOOTED = [rule for rule in catalogue().values() if Served in rule.needs]
_CALLEE = {"name": "app.main.one", "file": "/srv/shop/app/main.py", "line": 7, "async": False}
_LIBRARY = {"name": "lib.guard", "file": "/srv/shop/.venv/lib/python3.12/site-packages/lib.py", "line": 3, "async": True}
_ANSWER = {
    "status": 200,
    "headers": [["content-type", "application/json; charset=utf-8"]],
    "body": "{}",
    "error": None,
    "read": 0,
}
DOCUMENT: dict[str, Any] = {
    "network": {"kernel": True, "refused": ["db.internal:5432"]},
    "versions": {"fastapi": "0.115.0", "starlette": "0.38.6", "pydantic": "2.9.0"},
    "apps": [
        {
            "title": "Shop",
            "prefix": "",
            "file": "/srv/shop/app/main.py",
            "line": 4,
            "debug": False,
            "max_body_size": None,
            "lifespan": True,
            "on_startup": [_CALLEE],
            "on_shutdown": [],
            "middleware": [{"name": "app.M", "file": "", "line": 0, "function": None, "options": {"limit": 3}}],
            "exception_handlers": [{"for": 500, "handler": _CALLEE}],
        }
    ],
    "main": 0,
    "routes": [
        {
            "app": 0,
            "kind": "api",
            "path": "/v1/items/{id}",
            "methods": ["GET", "HEAD"],
            "endpoint": _CALLEE,
            "response_model": "int",
            "entities": [],
            "response_class": "starlette.responses.JSONResponse",
            "media_type": "application/json",
            "streams": False,
            "status_code": None,
            "include_in_schema": True,
            "deprecated": False,
            "max_body_size": None,
            "parameters": [{"in": "path", "name": "id", "type": "int", "required": True, "fields": []}],
            "dependencies": [
                {
                    "call": _CALLEE,
                    "scheme": False,
                    "scopes": [],
                    "generator": False,
                    "deprecation": None,
                    "dependencies": [
                        {
                            "call": _LIBRARY,
                            "scheme": True,
                            "scopes": ["read"],
                            "generator": False,
                            "deprecation": None,
                            "dependencies": [],
                        }
                    ],
                }
            ],
            "hidden_by": None,
        }
    ],
    "openapi": {"paths": {}},
    "openapi_error": None,
    "probe": {
        "host": "localhost",
        "lifespan": {"error": "its startup failed"},
        "answers": {"fine": _ANSWER},
        "requests": [
            {
                **_ANSWER,
                "route": 0,
                "seconds": 0.5,
                "stall": {"seconds": 0.4, "stack": [["/srv/shop/app/main.py", 9, "one"], ["/usr/lib/x.py", 1, "f"]]},
            }
        ],
        "canary": "canary",
        "origin": "https://page.example",
    },
}


def test_a_document_becomes_values() -> None:
    """Places are relative to the project, and what a library defines has none."""
    boot = understood(DOCUMENT, target="app.main:app", root=ROOT)
    (route,) = boot.app.operations
    assert route.title == "GET/HEAD /v1/items/{id}"
    assert route.endpoint is not None
    assert route.endpoint.place == Place("app/main.py", 7)
    outer, inner = route.tree()
    assert outer.callee is not None
    assert outer.callee.place == Place("app/main.py", 7)
    assert inner.callee is not None
    assert (inner.callee.place, inner.scheme, inner.scopes) == (None, True, ("read",))
    assert boot.probed is not None
    assert not boot.probed.lifespan
    (called,) = boot.probed.called
    assert [frame.place for frame in called.stack] == [Place("app/main.py", 9), None]
    fine = boot.probed.answers["fine"]
    assert (fine.media_type, fine.members, fine.reached) == ("application/json", frozenset(), False)
    assert boot.probed.answer("fine", 401) is None


def test_gaps_name_what_was_refused() -> None:
    """An app that was not well says why, and which connection it was not given."""
    boot = understood(DOCUMENT, target="app.main:app", root=ROOT)
    (gap,) = boot.gaps
    assert "an app that is not well: its startup failed (it asked for db.internal:5432; --allow-network lets it)" in gap
    unprobed = {key: value for key, value in DOCUMENT.items() if key != "probe"}
    gaps = understood(unprobed, target="app.main:app", root=ROOT, unprobed="it was killed").gaps
    assert gaps == ("it could not be probed: it was killed",)


@pytest.mark.parametrize("file", ["", "<string>", "/etc/passwd", "/srv/shop/../other/main.py", "/srv/shopping/main.py"])
def test_what_lies_elsewhere_has_no_place(file: str) -> None:
    """Only files of the project can be reported."""
    assert Reader(ROOT).place(file, 1) is None


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(inner for key, one in items for inner in _paths(one, (*path, key)))]


@given(
    path=st.sampled_from([path for path in _paths(DOCUMENT) if path]),
    value=st.one_of(
        st.none(), st.integers(), st.text(), st.lists(st.integers(), max_size=2), st.dictionaries(st.text(), st.none())
    ),
)
def test_any_other_form_is_refused_or_read(path: tuple[Any, ...], value: object) -> None:
    """The process may write anything: it is refused with an error that the caller expects, or every rule can work with it."""
    document = copy.deepcopy(DOCUMENT)
    holder: Any = document
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = json.loads(json.dumps(value))
    try:
        boot = understood(document, target="app.main:app", root=ROOT)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return
    project = examples.project({"app/main.py": "x = 1\n"})
    assert not engine.check(project, Config(), rules=BOOTED, boot=boot).failures
