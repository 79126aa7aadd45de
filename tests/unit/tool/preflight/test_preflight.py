"""`fastness preflight`: what is settled, written, kept and contradicted."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fastness.tool import declaration, preflight
from fastness.tool.errors import CommandError
from fastness.tool.preflight.facts import FACTS, Fact, Value

PYPROJECT = """\
# A shop.
[project]
name = "shop"  # keep
dependencies = [
    "asyncpg",   # two spaces
]

[tool.fastness.layers]
api = "app.api"

[tool.black]
line-length = 99
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Somebody's project on PostgreSQL."""
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    return tmp_path


def facts(directory: Path) -> dict[str, Any]:
    return dict(declaration.read(directory).values)


def test_defaults_write_every_fact(shop: Path) -> None:
    """`--defaults` settles every fact from what was detected, else from the defaults."""
    assert preflight.run(shop, defaults=True) == 0
    assert facts(shop) == {
        "persistence": "postgresql",
        "isolation": "read-committed",
        "replicas": 1,
        "max_replicas": 1,
        "surge": 1,
        "processes": 1,
        "workers": 0,
        "auth": [],
        "compliance": [],
        "platform": "container",
        "release_cadence": "weekly",
        "sensitivity": "latency",
        "layers": {"api": "app.api"},
    }


def test_the_rest_of_the_file_stays(shop: Path) -> None:
    """Comments, spacing and order of everything else stay as they were."""
    preflight.run(shop, defaults=True)
    text = (shop / "pyproject.toml").read_text()
    remaining = text.splitlines()
    for line in PYPROJECT.splitlines():
        remaining = remaining[remaining.index(line) + 1 :]
    assert '\nsensitivity = "latency"\n\n[tool.fastness.layers]\n' in text


def test_second_run_changes_nothing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Run again, the file is byte for byte the same, and the command says so."""
    preflight.run(shop, defaults=True)
    before = (shop / "pyproject.toml").read_bytes()
    preflight.run(shop, defaults=True)
    assert (shop / "pyproject.toml").read_bytes() == before
    assert "Unchanged" in capsys.readouterr().out


def test_settled_facts_are_kept(shop: Path) -> None:
    """A fact that stands is not replaced by a detection or a default."""
    with (shop / "pyproject.toml").open("a") as file:
        file.write("\n[tool.fastness]\nreplicas = 7  # measured\nsensitivity = 'throughput'\n")
    (shop / "pyproject.toml").write_text(
        (shop / "pyproject.toml").read_text().replace('[tool.fastness.layers]\napi = "app.api"\n', "")
    )
    preflight.run(shop, defaults=True)
    assert facts(shop)["replicas"] == 7
    assert facts(shop)["max_replicas"] == 7
    assert facts(shop)["sensitivity"] == "throughput"
    assert "replicas = 7  # measured" in (shop / "pyproject.toml").read_text()


def test_project_without_pyproject_gets_one(tmp_path: Path) -> None:
    """A project that has only requirements gets a pyproject.toml with this one table."""
    (tmp_path / "requirements.txt").write_text("fastapi\n")
    preflight.run(tmp_path, defaults=True)
    assert tomllib.loads((tmp_path / "pyproject.toml").read_text()).keys() == {"tool"}


def test_isolation_follows_the_answered_database(shop: Path) -> None:
    """The proposal for the isolation level fits the database that was answered, not the one detected."""

    def ask(fact: Fact, proposal: Value, source: str) -> Value:
        return "sqlite" if fact.key == "persistence" else proposal

    assert preflight.settle({}, preflight.detect(shop), ask=ask)["isolation"] == "serializable"


def test_answers_are_asked_again_until_possible(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An impossible answer is explained and asked again; an empty one takes the proposal."""
    answers = iter(["", "", "many", "0", "3", *[""] * 20])
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda _: next(answers))
    assert preflight.run(shop) == 0
    assert facts(shop)["replicas"] == 3
    assert capsys.readouterr().out.count("expected a whole number, 1 or more") == 2


def test_end_of_input_writes_nothing(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that end early leave the file alone."""

    def end(_: str) -> str:
        raise EOFError

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", end)
    with pytest.raises(CommandError, match="nothing was written"):
        preflight.run(shop)
    assert (shop / "pyproject.toml").read_text() == PYPROJECT


def test_nobody_to_ask(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a terminal and without --defaults the command cannot run, and says what to do."""
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(CommandError, match="--defaults") as caught:
        preflight.run(shop)
    assert caught.value.code == 2


def test_check_names_what_is_missing(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` exits 1, names every missing fact and writes nothing."""
    assert preflight.run(shop, check=True) == 1
    out = capsys.readouterr().out
    assert all(f"{fact.key} is missing" in out for fact in FACTS)
    assert (shop / "pyproject.toml").read_text() == PYPROJECT


def test_check_accepts_what_defaults_wrote(shop: Path) -> None:
    """What `--defaults` writes passes `--check`."""
    preflight.run(shop, defaults=True)
    assert preflight.run(shop, check=True) == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('persistence = "postgresql"', 'persistence = "mysql"', "persistence = 'mysql', but found postgresql"),
        ('persistence = "postgresql"', 'persistence = "db2"', "expected one of none, sqlite"),
        ("replicas = 1", "replicas = 0", "expected a whole number, 1 or more"),
        ("replicas = 1", "replicas = true", "expected a whole number"),
        ("replicas = 1", "replicas = 2", "max_replicas = 1 is below replicas = 2"),
        ("auth = []", 'auth = "jwt"', "expected any of jwt"),
        ("auth = []", 'auth = ["magic"]', "expected any of jwt"),
    ],
)
def test_check_names_contradictions(shop: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, says: str) -> None:
    """A fact that cannot be, or that the files contradict, is named with both sides."""
    preflight.run(shop, defaults=True)
    file = shop / "pyproject.toml"
    assert f"\n{old}\n" in file.read_text()
    file.write_text(file.read_text().replace(f"\n{old}\n", f"\n{new}\n"))
    capsys.readouterr()
    assert preflight.run(shop, check=True) == 1
    assert says in capsys.readouterr().out


def test_undeclared_authentication_is_a_contradiction(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A way to authenticate that the code has and the facts do not name is found."""
    preflight.run(shop, defaults=True)
    (shop / "main.py").write_text("from fastapi.security import HTTPBasic")
    assert preflight.run(shop, check=True) == 1
    assert "auth = [], but found basic (basic: fastapi.security.HTTPBasic in main.py)" in capsys.readouterr().out


def test_broken_pyproject_is_one_line(tmp_path: Path) -> None:
    """A pyproject.toml that is not TOML is named, and not replaced."""
    (tmp_path / "pyproject.toml").write_text("[")
    with pytest.raises(CommandError, match=r"pyproject\.toml"):
        preflight.run(tmp_path, defaults=True)
    assert (tmp_path / "pyproject.toml").read_text() == "["


def test_nothing_to_look_at(tmp_path: Path) -> None:
    """A directory without a project, and one that does not exist, are refused."""
    with pytest.raises(CommandError, match="no Python project"):
        preflight.run(tmp_path, defaults=True)
    with pytest.raises(CommandError, match="not a directory"):
        preflight.run(tmp_path / "gone", defaults=True)
