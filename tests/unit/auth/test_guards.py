"""Guards: which can be declared, and how cheap it is to import them."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from fastapi.params import Security

from fastness.auth import Requires


@pytest.mark.parametrize("scope", ["", "a b", 'a"b', "a\\b", "a\n", "é", "a\x00"])
def test_refuses_what_is_no_scope(scope: str) -> None:
    """A scope is one token of RFC 6749 (3.3); a string with two of them would never match."""
    with pytest.raises(ValueError, match="is not a scope"):
        Requires("ok", scope)


@pytest.mark.parametrize("by", [(), "jwt", ("cookie",), ("jwt", "basic")])
def test_refuses_unknown_ways_to_authenticate(by: Any) -> None:
    """A guard that nobody could pass, or that is misspelt, is not made."""
    with pytest.raises(ValueError, match="by="):
        Requires("a", by=by)


def test_a_guard_is_a_dependency() -> None:
    """It goes where FastAPI takes Depends, and carries its scopes for OpenAPI."""
    guard = Requires("b", "a")
    assert isinstance(guard, Security)
    assert guard.scopes == ["b", "a"]


def test_a_guard_documents_403_only_where_it_can_happen() -> None:
    """401 always, 403 where scopes are asked for; what the app has declared stays."""
    operation: dict[str, Any] = {"responses": {"401": {"description": "mine"}}}
    Requires().dependency.document_operation(operation)
    assert operation["responses"].keys() == {"401"}
    assert operation["responses"]["401"]["description"] == "mine"
    Requires("a").dependency.document_operation(operation)
    assert operation["responses"].keys() == {"401", "403"}


def test_importing_does_not_load_the_extras() -> None:
    """Start-up pays for joserfc, cryptography and httpx2 only when keys are loaded."""
    code = (
        "import sys, fastness.auth, fastness.auth.dev\n"
        "fastness.auth.JWTVerifier(issuer='i', audience='a', keys=fastness.auth.JWKS('https://issuer.example'))\n"
        "sys.exit(' '.join({'joserfc', 'cryptography', 'httpx2'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr.strip() == ""
