"""Where settings come from besides the environment: secret files. It validates nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pydantic_settings import BaseSettings, EnvSettingsSource

from fastness.settings.errors import InvalidSettings
from fastness.settings.fields import declared

_SUFFIX = "_FILE"
_MAX_BYTES = 64 * 1024


class SecretFiles(EnvSettingsSource):
    """Reads `NAME_FILE=/path/to/file` variables, and files in secrets directories that are named as the variable.

    That is how Docker (`/run/secrets/name`), Kubernetes (a mounted Secret) and systemd (`$CREDENTIALS_DIRECTORY`) hand out
    secrets. Names are matched without case; white space around a value is dropped, because editors end files with a newline.

    Raises:
        InvalidSettings: a named file cannot be read, or a variable and its `_FILE` are both set.
    """

    def __init__(self, settings: type[BaseSettings], directories: Iterable[Path]) -> None:
        super().__init__(settings)
        known = {setting.env for setting in declared(settings)}
        found: dict[str, str] = {}
        faults: list[tuple[str, str]] = []
        for directory in directories:
            for path in sorted(directory.iterdir()) if directory.is_dir() else ():
                # Whatever else lies there (Kubernetes' `..data`, a service account) is not ours.
                if path.name.upper() in known and path.is_file():
                    _read(path.name.upper(), path, found, faults)
        given = {name.upper(): value for name, value in os.environ.items()}
        for variable, location in given.items():
            name = variable.removesuffix(_SUFFIX)
            # A setting may be called `log_file` itself.
            if not variable.endswith(_SUFFIX) or variable in known or name not in known:
                continue
            if name in given:
                faults.append((name, f"is set twice: as {name} and as {variable}; keep one"))
            else:
                _read(name, Path(location), found, faults, variable)
        if faults:
            raise InvalidSettings(settings.__name__, faults)
        self.env_vars = {name.lower(): value for name, value in found.items()}


def _read(name: str, path: Path, found: dict[str, str], faults: list[tuple[str, str]], variable: str = "") -> None:
    named = f"{variable} names a file that" if variable else f"the secret file {path}"
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            faults.append((name, f"{named} is larger than {_MAX_BYTES // 1024} KiB"))
            return
        found[name] = content.decode().strip()
    except OSError as error:
        faults.append((name, f"{named} cannot be read: {error.strerror}"))
    except UnicodeDecodeError:
        faults.append((name, f"{named} is not UTF-8 text"))
