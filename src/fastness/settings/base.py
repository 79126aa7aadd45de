"""The settings class of a service. Where values come from is in `sources`, what production refuses in `secrets`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from fastness.settings.errors import InvalidSettings, faults
from fastness.settings.fields import Setting, declared
from fastness.settings.secrets import refusals, secret_of
from fastness.settings.sources import SecretFiles

Environment = Literal["development", "test", "production"]

_UNSET = (
    "The environment is not set, so this is production. To work locally set {env}=development, for instance by copying "
    ".env.example to .env."
)


class ServiceSettings(BaseSettings):
    """The settings of a service: subclass it once, with a field and a docstring for each setting.

    Values come, first found first, from arguments, the environment (`DATABASE__POOL_SIZE` for nested ones), secret files
    (`NAME_FILE=/path`, or a file of that name in `/run/secrets`), and `.env`, which is read in development only. An
    environment that nobody names is production.

    In production a secret that has its default, is short or looks like a placeholder is refused by name. A `SecretStr` is a
    secret by its type; mark others with `Secret()`, and defaults that are no secrets but still only for development with
    `DevelopmentDefault()`.

    Instances are frozen, and their `repr` shows no secret.

    Raises:
        InvalidSettings: values are missing, not valid or not fit for production; it lists all of them and shows none.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        env_file=".env",
        env_nested_delimiter="__",
        secrets_dir="/run/secrets",
        hide_input_in_errors=True,
        validate_default=True,
    )

    environment: Environment = "production"
    """Where the service runs: it decides which defaults are acceptable."""

    def __init__(self, **values: Any) -> None:
        kind = type(self)
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InvalidSettings(kind.__name__, faults(kind, error)) from None
        except SettingsError as error:
            raise InvalidSettings(kind.__name__, [_not_json(kind, error)]) from None
        if self.environment == "production" and (refused := list(refusals(self))):
            env = next(setting.env for setting in declared(kind) if setting.path == ("environment",))
            note = "" if "environment" in self.model_fields_set else _UNSET.format(env=env)
            raise InvalidSettings(f"{kind.__name__} in production", refused, note=note)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources in order of precedence; `.env` is one of them in development only."""
        files = SecretFiles(settings_cls, _directories(getattr(file_secret_settings, "secrets_dir", None)))
        sources = (init_settings, env_settings, files)
        environment = settings_cls.model_fields["environment"].default
        for source in (*sources, dotenv_settings):
            if (given := source().get("environment")) is not None:
                environment = given
                break
        return (*sources, dotenv_settings) if environment == "development" else sources

    @property
    def is_production(self) -> bool:
        """The service runs for real users."""
        return self.environment == "production"

    @property
    def is_development(self) -> bool:
        """The service runs on a developer's machine."""
        return self.environment == "development"

    @classmethod
    def describe(cls) -> list[Setting]:
        """Every setting with its environment variable, type, default and purpose, from which documentation is generated."""
        from fastness.settings import describe  # no service that starts asks for it

        return list(describe.rows(cls))

    @classmethod
    def env_example(cls) -> str:
        """The text of a `.env.example` for this class."""
        from fastness.settings import describe

        return describe.env_example(cls.describe())

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return _shown(self, super().__repr_args__())


class _Text:
    """Has the given `repr`."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _shown(model: BaseModel, arguments: Iterable[tuple[str | None, Any]]) -> Iterator[tuple[str | None, Any]]:
    """What `repr` shows of a model, without the secrets in it and in the models below it."""
    fields = type(model).model_fields
    for name, value in arguments:
        if name in fields and secret_of(fields[name]) is not None and value is not None:
            yield name, _Text("'**********'")
        elif isinstance(value, BaseModel):
            inner = ", ".join(f"{name}={value!r}" for name, value in _shown(value, value.__repr_args__()))
            yield name, _Text(f"{type(value).__name__}({inner})")
        else:
            yield name, value


def _directories(given: str | PathLike[str] | Iterable[str | PathLike[str]] | None) -> list[Path]:
    if given is None:
        return []
    return [Path(path).expanduser() for path in ([given] if isinstance(given, str | PathLike) else given)]


def _not_json(settings: type[BaseSettings], error: SettingsError) -> tuple[str, str]:
    # pydantic-settings names the field in its text only.
    named = re.search(r'field "([^"]+)"', str(error))
    for setting in declared(settings):
        if named is not None and setting.path == (named[1],):
            return setting.env, 'is not valid JSON, which lists and objects are written in: ["a", "b"]'
    return settings.__name__, str(error)
