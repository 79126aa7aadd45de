"""The contract: what clients rely on changes only on purpose."""

import json
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.core.config import Settings
from app.main import create_app

SNAPSHOT = Path(__file__).with_name("openapi.json")


def document() -> str:
    settings = Settings(environment="test", database_url=SecretStr("sqlite:///never-opened.db"))
    return json.dumps(create_app(settings).openapi(), indent=2, ensure_ascii=False) + "\n"


def test_the_contract_is_the_recorded_one() -> None:
    """Delete `openapi.json` and run this test to record a change; its reviewers see it in the diff."""
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(document(), encoding="utf-8")
        pytest.skip(f"recorded {SNAPSHOT.name}: commit it")
    assert document() == SNAPSHOT.read_text(encoding="utf-8")
