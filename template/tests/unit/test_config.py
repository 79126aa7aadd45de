"""Settings: what production must be told, and that the example is up to date."""

import re
from pathlib import Path

import pytest
from fastness.settings import InvalidSettings
from pydantic import SecretStr

from app.core.config import Settings

ROOT = Path(__file__).parents[2]


def test_production_names_everything_that_it_must_be_told() -> None:
    """No default that is for development survives, and no value is shown."""
    with pytest.raises(InvalidSettings) as caught:
        Settings(environment="production")
    named = {name for name, _ in caught.value.faults}
    expected = {"ALLOWED_HOSTS", "AUTH_ISSUER", "DATABASE_URL"}
    # feature: example
    expected |= {"ENCRYPTION_KEYS"}
    # /feature: example
    assert named == expected


def test_secrets_do_not_show() -> None:
    """A repr ends up in logs."""
    assert "hunter2" not in repr(Settings(environment="test", database_url=SecretStr("postgresql://u:hunter2@db/relay")))


def test_the_example_has_every_setting() -> None:
    """And no other; `Settings.env_example()` writes it anew."""
    named = re.findall(r"^(?:# )?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert named == [setting.env for setting in Settings.describe()]
