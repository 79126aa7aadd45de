"""The settings class: where values come from, what is refused, and that no value is ever shown."""

import os
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, Field, PostgresDsn, SecretBytes, SecretStr, field_validator, model_validator
from pydantic_settings import SettingsConfigDict

from fastness.settings import DevelopmentDefault, InvalidSettings, Secret, ServiceSettings

GOOD = "kJ8-vR2_xQ9tLm4Zw7Np"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No variable and no `.env` of the machine reaches a test."""
    for name in list(os.environ):
        if name.upper().startswith(("APP_", "ENVIRONMENT", "LOG_FILE")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


class Colour(Enum):
    RED = "red"


class Database(BaseModel, frozen=True):
    """A nested group of settings."""

    url: Annotated[str, Secret(min_length=8)] = "sqlite:///dev.db"
    pool_size: int = Field(5, ge=1, description="Connections held open.")
    password: SecretStr | None = None


class Settings(ServiceSettings):
    """Every kind of setting."""

    model_config = SettingsConfigDict(env_prefix="APP_")

    signing_key: SecretStr = SecretStr("signing-key-of-developers")
    """Signs what we send."""
    public_url: Annotated[str, DevelopmentDefault()] = "http://localhost:8000"
    database: Database = Database()
    proxies: list[str] = Field(default=[])
    api_keys: tuple[SecretStr, ...] = ()
    level: Literal["info", "debug"] = "info"
    colour: Colour = Colour.RED
    log_file: str | None = None


class Strict(ServiceSettings):
    """A class with a setting that has no default."""

    model_config = SettingsConfigDict(env_prefix="APP_")

    token: SecretStr
    port: int


def refused(kind: type[ServiceSettings] = Settings, **values: Any) -> dict[str, str]:
    """What a class says of values that it does not take."""
    with pytest.raises(InvalidSettings) as caught:
        kind(**values)
    return dict(caught.value.faults)


PRODUCTION: dict[str, Any] = {
    "environment": "production",
    "signing_key": GOOD,
    "public_url": "https://relay.example",
    "database": {"url": "postgresql://app:kJ8vR2@db/app"},
}


def test_production_takes_real_secrets() -> None:
    """With a value of its own for everything that needs one, production starts."""
    settings = Settings(**PRODUCTION)
    assert settings.is_production
    assert not settings.is_development


def test_development_is_not_production() -> None:
    """Whoever asks which of the two it is gets one answer."""
    settings = Settings(environment="development")
    assert settings.is_development
    assert not settings.is_production


def test_an_environment_that_nobody_names_is_production() -> None:
    """Forgetting to name the environment must not run production with development secrets, and the message says how."""
    with pytest.raises(InvalidSettings, match=r"set APP_ENVIRONMENT=development.*\.env\.example"):
        Settings()


def test_production_refuses_defaults_by_name() -> None:
    """Every default that is for development only is listed by its variable, at any depth, and no value is shown."""
    with pytest.raises(InvalidSettings) as caught:
        Settings(environment="production")
    assert [name for name, _ in caught.value.faults] == ["APP_SIGNING_KEY", "APP_PUBLIC_URL", "APP_DATABASE__URL"]
    assert {fault for _, fault in caught.value.faults} == {"has its development default; production needs a value of its own"}
    for value in ("signing-key-of-developers", "localhost", "sqlite"):
        assert value not in str(caught.value)


@pytest.mark.parametrize("environment", ["development", "test"])
def test_elsewhere_defaults_are_fine(environment: str) -> None:
    """Development and tests start without any configuration."""
    assert Settings(environment=environment).signing_key.get_secret_value() == "signing-key-of-developers"


def test_a_default_that_is_set_by_hand_is_still_the_default() -> None:
    """Copying the development default into production's configuration does not make it a secret."""
    said = refused(**PRODUCTION | {"signing_key": "signing-key-of-developers", "database": {"url": "sqlite:///dev.db"}})
    assert set(said) == {"APP_SIGNING_KEY", "APP_DATABASE__URL"}


def test_a_default_of_the_model_above_counts() -> None:
    """A nested secret whose default stands in the default of its group is refused as well."""

    class Group(BaseModel):
        key: SecretStr

    class Outer(ServiceSettings):
        group: Group = Group(key=SecretStr(GOOD))

    assert refused(Outer, environment="production") == {
        "GROUP__KEY": "has its development default; production needs a value of its own"
    }


def test_a_secret_made_anew_by_each_process_is_refused() -> None:
    """A default factory gives every worker another key, so production must set one."""

    class Made(ServiceSettings):
        key: SecretStr = Field(default_factory=lambda: SecretStr(GOOD))

    assert set(refused(Made, environment="production")) == {"KEY"}
    assert Made(environment="production", key=GOOD)


@pytest.mark.parametrize(
    "value",
    ["changethis-changethis", "ChangeMe123456789", "secret0123456789", "aaaaaaaaaaaaaaaaaaaaaa", "your-secret-key-goes-here"],
)
def test_placeholders_are_refused(value: str) -> None:
    """What looks like a placeholder is no secret, and is not shown."""
    with pytest.raises(InvalidSettings, match="placeholder") as caught:
        Settings(**PRODUCTION | {"signing_key": value})
    assert value not in str(caught.value)


def test_short_secrets_are_refused() -> None:
    """A secret has 16 characters unless its declaration says otherwise."""
    assert refused(**PRODUCTION | {"signing_key": GOOD[:15]}) == {"APP_SIGNING_KEY": "is shorter than 16 characters"}
    assert Settings(**PRODUCTION | {"signing_key": GOOD[:16]})
    assert refused(**PRODUCTION | {"database": {"url": "pg://x"}}) == {"APP_DATABASE__URL": "is shorter than 8 characters"}


def test_every_secret_of_a_collection_counts() -> None:
    """One weak secret among good ones is refused; an empty collection is none; an optional one may be left out."""
    assert set(refused(**PRODUCTION | {"api_keys": [GOOD, "short"]})) == {"APP_API_KEYS"}
    assert Settings(**PRODUCTION | {"api_keys": [GOOD]}).database.password is None


@pytest.mark.parametrize("kind", [SecretStr, SecretBytes, SecretStr | None, dict[str, SecretStr], PostgresDsn])
def test_all_kinds_of_secrets_are_known(kind: Any) -> None:
    """A secret is known by its type at any place of an annotation, and else by its mark."""

    class Kinds(ServiceSettings):
        value: Annotated[kind, Secret()] if kind is PostgresDsn else kind  # type: ignore[valid-type]

    weak: Any = (
        {"a": "short"} if kind == dict[str, SecretStr] else "postgresql://a:changeme@db/x" if kind is PostgresDsn else "s"
    )
    with pytest.raises(InvalidSettings):
        Kinds(environment="production", value=weak)
    assert Kinds.describe()[1].secret


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=40))
def test_no_value_is_ever_shown(value: str) -> None:
    """Whatever a secret is set to, neither the error nor the repr shows it."""
    value = f"{value}§{value}"
    try:
        shown = repr(Settings(**PRODUCTION | {"signing_key": value, "database": {"url": value}}))
    except InvalidSettings as error:
        shown = str(error)
    assert value not in shown


def test_repr_hides_what_is_marked() -> None:
    """A text that is marked as secret is hidden like a `SecretStr`."""

    class Marked(ServiceSettings):
        url: Annotated[str, Secret()] = "x"

    assert "hunter2" not in repr(Marked(environment="test", url="postgresql://app:hunter2@db"))
    assert "database=Database(url='**********', pool_size=5, password=None)" in repr(Settings(environment="test"))


def test_errors_are_one_line_per_setting() -> None:
    """What is missing or wrong is listed by variable, with the ways to set it, and Pydantic's own text never appears."""
    with pytest.raises(InvalidSettings) as caught:
        Strict(environment="test", port="a lot")
    assert str(caught.value).splitlines()[:-1] == [
        "Strict cannot be used:",
        "  APP_TOKEN: is required",
        "  APP_PORT: input should be a valid integer, unable to parse string as an integer",
    ]
    assert str(caught.value).splitlines()[-1].startswith("Set each in the environment, as NAME_FILE=/path/to/file")


def test_nested_and_listed_values_are_located() -> None:
    """An error inside a nested group names the variable of its field; one inside a list names the place."""
    said = refused(environment="test", database={"pool_size": 0}, proxies=["a", 1])
    assert said["APP_DATABASE__POOL_SIZE"] == "input should be greater than or equal to 1"
    assert said["APP_PROXIES"] == "1: input should be a valid string"


def test_values_that_a_validator_quotes_are_hidden() -> None:
    """Text of the app's own validators reaches the list without the value; that of a secret does not reach it at all."""

    class Quoting(ServiceSettings):
        plain: str = "x"
        key: SecretStr = SecretStr("x")

        @field_validator("plain", "key")
        @classmethod
        def _quote(cls, value: Any) -> Any:
            raise ValueError(f"cannot use {value if isinstance(value, str) else value.get_secret_value()[:4]}")

    said = refused(Quoting, environment="test", plain="hunter2-plain", key="hunter2-key")
    assert said == {"PLAIN": "cannot use ***", "KEY": "is not valid"}


def test_an_error_of_the_whole_is_told_without_values() -> None:
    """A validator over all settings has no variable of its own."""

    class Whole(ServiceSettings):
        first: str = "x"

        @model_validator(mode="before")
        @classmethod
        def _refuse(cls, values: dict[str, Any]) -> Any:
            raise ValueError(f"these do not fit together: {values['first']}")

    assert refused(Whole, environment="test", first="hunter2") == {"Whole": "these do not fit together: ***"}


def test_a_list_that_is_not_json_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What must be JSON says so, with an example."""
    monkeypatch.setenv("APP_PROXIES", "10.0.0.1, 10.0.0.2")
    assert "valid JSON" in refused(environment="test")["APP_PROXIES"]


def test_the_error_is_a_value_error_and_ends_an_interpreter() -> None:
    """Code can handle it as a ValueError; uncaught it prints its text and no traceback, as SystemExit does."""
    error = InvalidSettings("Settings", [("APP_TOKEN", "is required")])
    assert isinstance(error, ValueError)
    assert error.code == str(error)


def test_precedence_of_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Arguments beat the environment, that beats secret files, those beat `.env`, and that beats the default."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (tmp_path / ".env").write_text(
        "APP_ENVIRONMENT=development\nAPP_LEVEL=debug\nAPP_SIGNING_KEY=dotenv\nAPP_PUBLIC_URL=dotenv\n"
    )
    (secrets / "app_signing_key").write_text("file\n")
    (secrets / "APP_PUBLIC_URL").write_text("file")
    monkeypatch.setenv("APP_PUBLIC_URL", "environment")
    settings = Settings(_secrets_dir=secrets)
    assert settings.is_development
    assert settings.level == "debug"
    assert settings.signing_key.get_secret_value() == "file"
    assert settings.public_url == "environment"
    assert Settings(_secrets_dir=[secrets], public_url="argument").public_url == "argument"


@pytest.mark.parametrize("environment", ["production", "test"])
def test_dotenv_is_read_in_development_only(environment: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A forgotten `.env` changes nothing in production or in tests."""
    (tmp_path / ".env").write_text("APP_ENVIRONMENT=development\nAPP_LEVEL=debug\n")
    monkeypatch.setenv("APP_ENVIRONMENT", environment)
    assert Settings(**{k: v for k, v in PRODUCTION.items() if k != "environment"}).level == "info"


def test_dotenv_cannot_name_another_environment(tmp_path: Path) -> None:
    """A `.env` that says `test` is not read, so it does not turn production's checks off."""
    (tmp_path / ".env").write_text("APP_ENVIRONMENT=test\n")
    assert "APP_SIGNING_KEY" in refused()


@pytest.mark.parametrize("setting", ["APP_SIGNING_KEY", "app_signing_key"])
def test_file_variables(setting: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`NAME_FILE` names a file that has the value, at any depth; white space around it is dropped."""
    (tmp_path / "key").write_text(f"\n{GOOD}\n")
    (tmp_path / "size").write_text("7")
    monkeypatch.setenv(f"{setting}_FILE", str(tmp_path / "key"))
    monkeypatch.setenv("APP_DATABASE__POOL_SIZE_FILE", str(tmp_path / "size"))
    settings = Settings(environment="test")
    assert settings.signing_key.get_secret_value() == GOOD
    assert settings.database.pool_size == 7
    assert settings.database.url == "sqlite:///dev.db"


def test_a_setting_whose_name_ends_in_file_is_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """`LOG_FILE` sets `log_file`; it does not name a file with the value of a setting `log`."""

    class Logs(ServiceSettings):
        log: str = "on"
        log_file: str | None = None

    monkeypatch.setenv("LOG_FILE", "/var/log/app.log")
    settings = Logs(environment="test")
    assert (settings.log, settings.log_file) == ("on", "/var/log/app.log")


def test_a_variable_set_twice_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of a value and a file with another value, nobody knows which is meant."""
    (tmp_path / "key").write_text(GOOD)
    monkeypatch.setenv("APP_SIGNING_KEY", GOOD)
    monkeypatch.setenv("APP_SIGNING_KEY_FILE", str(tmp_path / "key"))
    assert refused(environment="test") == {
        "APP_SIGNING_KEY": "is set twice: as APP_SIGNING_KEY and as APP_SIGNING_KEY_FILE; keep one"
    }


def test_a_file_that_cannot_be_read_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A missing, binary or huge file is told by the variable that names it, without content."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "huge").write_bytes(b"a" * 70_000)
    for name, said in (
        ("missing", "cannot be read: No such file"),
        ("binary", "is not UTF-8 text"),
        ("huge", "is larger than 64 KiB"),
        (".", "cannot be read: Is a directory"),
    ):
        monkeypatch.setenv("APP_SIGNING_KEY_FILE", str(tmp_path / name))
        assert refused(environment="test")["APP_SIGNING_KEY"].startswith("APP_SIGNING_KEY_FILE names a file that " + said)


def test_a_kubernetes_volume_is_a_secrets_directory(tmp_path: Path) -> None:
    """Files that are links into `..data` are read, also for nested settings; everything else there is left alone."""
    data = tmp_path / "..2026_01_01"
    data.mkdir()
    (data / "app_signing_key").write_text(GOOD)
    (data / "app_database__pool_size").write_text("9")
    (tmp_path / "..data").symlink_to(data)
    for name in ("app_signing_key", "app_database__pool_size"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    (tmp_path / "serviceaccount").mkdir()
    (tmp_path / "unrelated").write_bytes(b"\xff")
    settings = Settings(environment="test", _secrets_dir=tmp_path)
    assert settings.signing_key.get_secret_value() == GOOD
    assert settings.database.pool_size == 9


def test_a_secrets_directory_that_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    """Most machines have no `/run/secrets`."""
    assert Settings(environment="test", _secrets_dir=tmp_path / "nowhere")
    assert Settings(environment="test", _secrets_dir=None)


def test_settings_are_frozen() -> None:
    """What was read at the start stays."""
    settings = Settings(environment="test")
    with pytest.raises(ValueError, match="frozen"):
        settings.level = "debug"


def test_describe_has_a_row_for_every_setting() -> None:
    """Rows say how to set what, with defaults as one would write them, and show no secret."""
    rows = {row.env: row for row in Settings.describe()}
    assert list(rows) == [
        "APP_ENVIRONMENT",
        "APP_SIGNING_KEY",
        "APP_PUBLIC_URL",
        "APP_DATABASE__URL",
        "APP_DATABASE__POOL_SIZE",
        "APP_DATABASE__PASSWORD",
        "APP_PROXIES",
        "APP_API_KEYS",
        "APP_LEVEL",
        "APP_COLOUR",
        "APP_LOG_FILE",
    ]
    key = rows["APP_SIGNING_KEY"]
    assert (key.default, key.secret, key.required, key.required_in_production) == (None, True, False, True)
    assert (key.name, key.type, key.doc) == ("signing_key", "SecretStr", "Signs what we send.")
    pool = rows["APP_DATABASE__POOL_SIZE"]
    assert (pool.name, pool.type, pool.default, pool.doc) == ("database.pool_size", "int", "5", "Connections held open.")
    assert (rows["APP_PUBLIC_URL"].default, rows["APP_PUBLIC_URL"].required_in_production) == ("http://localhost:8000", True)
    assert (rows["APP_PROXIES"].type, rows["APP_PROXIES"].default) == ("list[str]", "[]")
    assert rows["APP_LEVEL"].type == "'info' | 'debug'"
    assert rows["APP_COLOUR"].default == "red"
    assert rows["APP_DATABASE__PASSWORD"].type == "SecretStr | None"
    assert not rows["APP_DATABASE__PASSWORD"].required_in_production
    assert rows["APP_API_KEYS"].type == "tuple[SecretStr, ...]"
    required = {row.env: row.required for row in Strict.describe()}
    assert required == {"APP_ENVIRONMENT": False, "APP_TOKEN": True, "APP_PORT": True}


def test_env_example_shows_no_secret_and_can_be_read_back() -> None:
    """The example has every setting; what has a default is commented out."""
    text = Settings.env_example()
    assert "# Signs what we send. (SecretStr) Secret. Required in production.\n# APP_SIGNING_KEY=\n" in text
    assert "# APP_DATABASE__POOL_SIZE=5\n" in text
    assert "developers" not in text
    assert "sqlite" not in text
    assert "\nAPP_TOKEN=\n" in Strict.env_example()


def test_aliases_name_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting with an alias is set, described and refused under it, without the prefix."""

    class Aliased(ServiceSettings):
        model_config = SettingsConfigDict(env_prefix="APP_")

        one: int = Field(1, validation_alias="FIRST_PORT")
        two: int = Field(2, validation_alias=AliasChoices("SECOND_PORT", "OTHER"))

    monkeypatch.setenv("FIRST_PORT", "x")
    monkeypatch.setenv("SECOND_PORT", "y")
    assert set(refused(Aliased, environment="test")) == {"FIRST_PORT", "SECOND_PORT"}
    assert [row.env for row in Aliased.describe()] == ["APP_ENVIRONMENT", "FIRST_PORT", "SECOND_PORT"]


def test_a_model_within_itself_ends() -> None:
    """A recursive group is described once and does not hang."""
    assert [row.env for row in Recursive.describe()] == ["ENVIRONMENT", "NODE__LABEL", "NODE__CHILD"]


class Node(BaseModel):
    """A group that contains itself."""

    label: str = "x"
    child: "Node | None" = None


class Recursive(ServiceSettings):
    """Settings with a recursive group."""

    node: Node = Node()


def test_marks_refuse_nonsense() -> None:
    """A secret has at least one character."""
    with pytest.raises(ValueError, match="min_length=0"):
        Secret(min_length=0)
