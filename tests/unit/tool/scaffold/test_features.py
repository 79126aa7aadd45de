"""`features.toml`: what is read, and what is refused."""

from pathlib import Path

import pytest

from fastness.tool.errors import CommandError
from fastness.tool.scaffold import features


def write(directory: Path, text: str) -> Path:
    (directory / "features.toml").write_text(text)
    return directory


def test_features_are_read(tmp_path: Path) -> None:
    """Name, summary, files and dependencies are read as declared."""
    (tmp_path / "app").mkdir()
    write(tmp_path, '[features.cache]\nsummary = "Caches"\nfiles = ["app"]\ndependencies = ["redis"]\n')
    assert features.read(tmp_path) == {"cache": features.Feature("cache", "Caches", ("app",), ("redis",))}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[features.a]\n", "summary is missing"),
        ('[features.a]\nsummary = " "\n', "summary is missing"),
        ('[features.a]\nsummary = "A"\nfiels = []\n', "fiels"),
        ('[features.a]\nsummary = "A"\nfiles = "app"\n', "files is not a list"),
        ('[features.a]\nsummary = "A"\ndependencies = [1]\n', "dependencies is not a list"),
        ('[features.a]\nsummary = "A"\nfiles = ["gone.py"]\n', "gone.py is not in the template"),
        ('[features.a]\nsummary = "A"\nfiles = ["../x"]\n', "is not in the template"),
        ('[features.a]\nsummary = "A"\nfiles = ["/etc"]\n', "is not in the template"),
        ("features = 1\n", "found a value"),
        ("[feature.a]\n", "only `named` and tables"),
        ("[features]\na = 1\n", "is unknown"),
        ("[", "features.toml"),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, text: str, says: str) -> None:
    """A mistake in the file is refused instead of leaving something in the service that should have gone."""
    (tmp_path.parent / "x").touch()
    with pytest.raises(CommandError, match=says):
        features.read(write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "says"), [("named = 1\n", "named is not a list"), ('named = ["gone.py"]\n', "gone.py is not in the template")]
)
def test_files_that_are_not_there_cannot_be_named(tmp_path: Path, text: str, says: str) -> None:
    """A file that was moved would silently keep the template's name."""
    with pytest.raises(CommandError, match=says):
        features.named(write(tmp_path, text))


def test_directory_without_the_file_is_no_template(tmp_path: Path) -> None:
    """A directory without features.toml is not a template."""
    with pytest.raises(CommandError, match="not a template"):
        features.read(tmp_path)


def test_choice_names_what_there_is(tmp_path: Path) -> None:
    """An unknown feature is refused, and the known ones are named."""
    declared = features.read(write(tmp_path, '[features.b]\nsummary = "B"\n[features.a]\nsummary = "A"\n'))
    with pytest.raises(CommandError, match=r"'c'.*a, b"):
        features.choose(declared, without=["a", "c"])


def test_choice_is_a_set(tmp_path: Path) -> None:
    """A feature named twice is left out once."""
    declared = features.read(write(tmp_path, '[features.a]\nsummary = "A"\n'))
    assert [feature.name for feature in features.choose(declared, without=["a", "a"])] == ["a"]
