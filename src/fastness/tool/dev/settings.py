"""What the tool needs of a service's settings, asked in an interpreter of its own: their code never enters this process.

The question names the attributes that the template's `app.core.config.Settings` has; another service is asked in vain and
gets no development tokens, nothing else.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from fastness.tool.errors import CommandError

_TIME_LIMIT = 60  # seconds for importing the settings
_QUESTION = """
import json
from app.core.config import Settings
settings = Settings()
print(json.dumps({
    "environment": settings.environment,
    "audience": getattr(settings, "auth_audience", None),
    "key_directory": str(getattr(settings, "dev_key_directory", ".fastness")),
}))
"""


@dataclass(frozen=True, slots=True)
class DevSettings:
    """A service's settings, as far as development goes.

    Attributes:
        environment: `development`, `test` or `production`; "" when the service has no such settings.
        audience: what its access tokens are for; None when it verifies none.
        key_directory: where the key of its development tokens lives, relative to the service.
    """

    environment: str = ""
    audience: str | None = None
    key_directory: str = ".fastness"


def environment() -> dict[str, str]:
    """The environment variables for a service in development: `ENVIRONMENT` is `development` unless it says otherwise."""
    return {"ENVIRONMENT": "development", **os.environ, "PYTHONUNBUFFERED": "1"}


def ask(directory: Path) -> DevSettings:
    """The settings of the service in `directory`.

    Raises:
        CommandError: they cannot be read, or the service refuses to start with them; the text is the service's.
    """
    if not (directory / "app" / "core" / "config.py").is_file():
        return DevSettings()
    command = [sys.executable, "-c", _QUESTION]
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment(), capture_output=True, text=True, timeout=_TIME_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"app/core/config.py took more than {_TIME_LIMIT} seconds to import") from None
    if done.returncode != 0:
        raise CommandError(_reason(done.stderr))
    return DevSettings(**json.loads(done.stdout.splitlines()[-1]))


def _reason(text: str) -> str:
    """A service's list of faults, or the last line of a traceback, as one line."""
    lines = [line.strip() for line in text.strip().splitlines()] or ["no message"]
    return f"app/core/config.py: {lines[-1]}" if lines[0].startswith("Traceback") else " ".join(lines)
