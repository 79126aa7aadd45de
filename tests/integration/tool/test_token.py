"""`fastness token`: what the service's settings allow, asked in an interpreter of their own."""

from pathlib import Path

import pytest

from fastness.auth import Refused
from fastness.auth.dev import DevIssuer
from fastness.tool.cli import main
from fastness.tool.dev import settings, token
from fastness.tool.errors import CommandError

CONFIG = """\
from fastness.settings import ServiceSettings


class Settings(ServiceSettings):
    auth_audience: str = "shop"
    dev_key_directory: str = ".keys"
"""


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A service with settings as the template has them."""
    monkeypatch.delenv("ENVIRONMENT", raising=False)
    (tmp_path / "app/core").mkdir(parents=True)
    (tmp_path / "app/core/config.py").write_text(CONFIG)
    return tmp_path


async def test_token_is_accepted_by_the_service(service: Path) -> None:
    """The verifier that the service builds from the same settings accepts the token, and reads what was asked for."""
    issued = token.issue(service, subject="ada", tenant="acme", scopes=["a", "b"], lifetime=60)
    verifier = DevIssuer(service / ".keys", environment="development", audience="shop").verifier()
    principal = await verifier.verify(issued)
    assert (principal.subject, principal.tenant, principal.scopes) == ("ada", "acme", {"a", "b"})
    with pytest.raises(Refused):
        await DevIssuer(service / ".keys", environment="development", audience="other").verifier().verify(issued)


def test_production_issues_nothing(service: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In production no token is printed and no key is made; the exit code is 2."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    monkeypatch.chdir(service)
    assert main(["token"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "'production'" in captured.err
    assert not (service / ".keys").exists()


def test_settings_that_the_service_refuses_are_one_line(service: Path) -> None:
    """What the service would refuse to start with is told in its own words, on one line."""
    (service / "app/core/config.py").write_text(CONFIG + "    workers: int\n")
    with pytest.raises(CommandError, match=r"^Settings cannot be used: WORKERS: is required [^\n]*$"):
        settings.ask(service)


def test_settings_that_do_not_import_are_one_line(service: Path) -> None:
    """Settings that fail to import are named with the last line of the traceback."""
    (service / "app/core/config.py").write_text("import nowhere\n")
    with pytest.raises(CommandError, match=r"^app/core/config\.py: ModuleNotFoundError: [^\n]*$"):
        settings.ask(service)


def test_service_without_tokens(tmp_path: Path) -> None:
    """A service that has no such settings takes no tokens."""
    assert settings.ask(tmp_path) == settings.DevSettings()
    with pytest.raises(CommandError, match="takes no tokens"):
        token.issue(tmp_path)
