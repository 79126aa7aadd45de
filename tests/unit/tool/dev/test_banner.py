"""The ready-made call: chosen from what the service documents."""

import socket
from typing import Any

import pytest

from fastness.tool.dev.banner import base_url, guarded_call

GUARD = {"security": [{"Bearer": ["b:read"]}, {"APIKey": ["a:read"]}]}


def document(**paths: dict[str, Any]) -> dict[str, Any]:
    return {"paths": {f"/{name.replace('__', '/{id}')}": operations for name, operations in paths.items()}}


def test_first_guarded_get_is_called_with_every_scope() -> None:
    """The first guarded GET without parameters is called, with all scopes that any operation asks for."""
    found = guarded_call(document(open={"get": {}}, guarded={"get": GUARD}, other={"post": {"security": [{"B": ["w"]}]}}))
    assert found == ("/guarded", ["a:read", "b:read", "w"])


@pytest.mark.parametrize(
    "paths",
    [
        {},
        {"open": {"get": {}}},
        {"open": {"get": {"security": []}}},
        {"writes": {"post": GUARD}},
        {"one__": {"get": GUARD}},
        {"asks": {"get": GUARD | {"parameters": [{"name": "q", "required": True}]}}},
        {"odd": {"summary": "text", "parameters": []}},
    ],
)
def test_nothing_to_call(paths: dict[str, Any]) -> None:
    """Open operations, writes, and what needs parameters are not offered."""
    assert guarded_call(document(**paths)) is None


def test_optional_parameters_do_not_matter() -> None:
    """A parameter that may be left out is left out."""
    assert guarded_call(document(list={"get": GUARD | {"parameters": [{"name": "limit"}]}})) == ("/list", ["a:read", "b:read"])


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "127.0.0.1")])
def test_address_is_one_to_open(host: str, shown: str) -> None:
    """A wildcard address is shown as one that a browser can open."""
    with socket.socket() as listener:
        listener.bind((host, 0))
        assert base_url(listener) == f"http://{shown}:{listener.getsockname()[1]}"
