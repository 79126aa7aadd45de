"""Development tokens for the service in a directory, from the key on this machine that it trusts in development."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from fastness.tool.dev import settings as _settings
from fastness.tool.dev.settings import DevSettings
from fastness.tool.errors import CommandError

TENANT = "development"


def issue(
    directory: Path,
    *,
    settings: DevSettings | None = None,
    subject: str = "developer",
    tenant: str = TENANT,
    scopes: Iterable[str] = (),
    lifetime: int = 3600,
) -> str:
    """An access token that the service in `directory` accepts.

    Args:
        directory: where the service's `app/` stands.
        settings: the service's, when they were asked for already.
        subject: whom the token names.
        tenant: for whom that one acts.
        scopes: what it permits.
        lifetime: seconds.

    Raises:
        CommandError: the service takes no development tokens, in production for instance, or the key cannot be used.
    """
    settings = settings or _settings.ask(directory)
    if settings.audience is None:
        raise CommandError(f"the service in {directory} has no auth_audience in app/core/config.py: it takes no tokens")
    from fastness.auth.dev import DevIssuer

    try:
        issuer = DevIssuer(directory / settings.key_directory, environment=settings.environment, audience=settings.audience)
        return issuer.issue_token(subject=subject, tenant=tenant, scopes=scopes, lifetime=lifetime)
    except ValueError as error:
        raise CommandError(str(error)) from None
