"""The generated `pyproject.toml`: renamed, its dependencies reduced, everything else as it was."""

import tomllib
from typing import Any

import pytest

from fastness.tool.errors import CommandError
from fastness.tool.scaffold import project

TEMPLATE = """\
# What the owners read first.
[project]
name = "relay"  # the distribution
dependencies = [
    "fastness[db, redis]>=0.1",  # ours
    # the cache
    "Redis >=5 ; python_version >= '3.11'",
    "httpx2[http2]",
]

[project.optional-dependencies]
all = ["relay[dev]", "relay"]

[dependency-groups]
dev = ["pytest", {include-group = "lint"}]
lint = ["ruff"]

[tool.ruff]
line-length = 128
"""


def edit(name: str = "mail-relay", removed: tuple[str, ...] = (), text: str = TEMPLATE) -> dict[str, Any]:
    return tomllib.loads(project.edit(text, name=name, removed=removed, facts={"version": "1"}))


def test_project_and_references_to_itself_are_renamed() -> None:
    """The name changes, also where an extra refers to the project itself."""
    document = edit()
    assert document["project"]["name"] == "mail-relay"
    assert document["project"]["optional-dependencies"]["all"] == ["mail-relay[dev]", "mail-relay"]


def test_comments_and_layout_stay() -> None:
    """Only what is edited changes."""
    text = project.edit(TEMPLATE, name="mail", removed=[], facts={"version": "1"})
    expected = (
        TEMPLATE.replace('name = "relay"', 'name = "mail"').replace("relay[dev]", "mail[dev]").replace('"relay"]', '"mail"]')
    )
    assert text == f'{expected}\n[tool.fastness.template]\nversion = "1"\n'


@pytest.mark.parametrize("removed", ["redis", "REDIS", "Redis"])
def test_dependency_goes_whatever_its_spelling(removed: str) -> None:
    """A removed distribution goes with its version bound and marker; names compare as PEP 503 says."""
    assert edit(removed=(removed,))["project"]["dependencies"] == ["fastness[db, redis]>=0.1", "httpx2[http2]"]


def test_extra_goes_and_its_distribution_stays() -> None:
    """`fastness[redis]` removes the extra alone."""
    assert edit(removed=("fastness[redis]",))["project"]["dependencies"][0] == "fastness[db]>=0.1"


def test_last_extra_takes_the_brackets() -> None:
    """Without its last extra a requirement has no brackets."""
    assert edit(removed=("httpx2[http2]",))["project"]["dependencies"][2] == "httpx2"


def test_groups_lose_dependencies_too() -> None:
    """Dependency groups and extras are searched as well."""
    document = edit(removed=("ruff", "pytest"))
    assert document["dependency-groups"] == {"dev": [{"include-group": "lint"}], "lint": []}


def test_facts_are_recorded() -> None:
    """What the service was generated from stands in `[tool.fastness.template]`."""
    assert edit()["tool"]["fastness"]["template"] == {"version": "1"}


def test_existing_table_keeps_its_facts() -> None:
    """A template that has `[tool.fastness]` keeps it."""
    document = edit(text=f"{TEMPLATE}\n[tool.fastness]\nreplicas = 2\n\n[tool.fastness.layers]\na = 1\n")
    assert document["tool"]["fastness"] == {"replicas": 2, "layers": {"a": 1}, "template": {"version": "1"}}


@pytest.mark.parametrize("name", ["redis", "fastness", "HTTPX2"])
def test_name_of_a_dependency_is_refused(name: str) -> None:
    """A project that is called like its dependency could not be installed."""
    with pytest.raises(CommandError, match="depends on"):
        edit(name=name)


@pytest.mark.parametrize("name", ["a", "Relay", "mail-relay", "mail_relay.2", "2fast", "a" * 63])
def test_names_that_packaging_takes_are_taken(name: str) -> None:
    """Names valid under PEP 508 are valid."""
    project.check_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "-a", "a-", "a/b", "a b", "a\n", "é", "../x", "a" * 64, "app", "Tests", "~", "$HOME"]
)
def test_names_that_cannot_be_are_refused(name: str) -> None:
    """A name that is no distribution or no directory is refused before anything happens."""
    with pytest.raises(CommandError, match="cannot name a project"):
        project.check_name(name)


@pytest.mark.parametrize("text", ["[", "[tool.x]\n", "[project]\nversion = '1'\n"])
def test_what_is_no_project_is_refused(text: str) -> None:
    """A file that is not TOML or names no project is refused."""
    with pytest.raises(CommandError, match=r"pyproject\.toml"):
        edit(text=text)
