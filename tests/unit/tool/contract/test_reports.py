"""Reports, settings, accepted changes and the snapshot: what is written, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from fastness.tool.contract import accepted, settings, snapshot
from fastness.tool.contract.changes import Change, Level
from fastness.tool.contract.compare import Result
from fastness.tool.contract.reports import FORMATS, markdown
from fastness.tool.errors import CommandError

from .conftest import body, document

HOSTILE = "<script>alert(1)</script>`x`\n::error::pwned|*a*"


def change(**parts: Any) -> Change:
    given = {
        "id": "request.type.narrowed",
        "level": Level.BREAKING,
        "operation": "GET /a",
        "places": ("/paths", "/paths"),
        "message": "m",
    }
    return Change(**{**given, **parts})


def result(*changes: Change) -> Result:
    return Result(changes, ("old.json", "new.json"), ("1.0.0", "1.0.0"))


@pytest.mark.parametrize("form", FORMATS)
def test_what_a_document_says_stays_text(form: str) -> None:
    """Markup, line ends and workflow commands in names of a hostile document reach no report as such."""
    text = FORMATS[form](result(change(message=HOSTILE, operation=f"GET /{HOSTILE}", counterexample={"body": HOSTILE})))
    assert not [line for line in text.splitlines() if line.startswith("::error::")]
    if form == "html":
        assert "<script>" not in text
    if form == "json":
        assert json.loads(text)["changes"][0]["message"] == HOSTILE


def test_the_level_is_said_in_words() -> None:
    """A page says how much a change matters without its colours, and where the change is in both documents."""
    page = FORMATS["html"](result(change(places=("/old", "/new")), change(level=Level.INFO)))
    assert "<h2>Breaking (1)</h2>" in page
    assert "<h2>Also changed (1)</h2>" in page
    assert "<code>/old</code> and <code>/new</code>" in page


@pytest.mark.parametrize(
    ("versions", "says"),
    [
        (("1.0.0", "1.0.0"), "; version 1.0.0 -> 1.0.0 needs a major step"),
        (("1", ""), "; version 1 -> none needs a major step"),
        (("1.0.0", "2.0.0"), "breaking: 1 breaking\n"),
    ],
)
def test_the_version_step_is_told(versions: tuple[str, str], says: str) -> None:
    """The step that the changes need is told unless it has been made."""
    text = FORMATS["text"](Result((change(),), ("old.json", "new.json"), versions))
    assert text.rstrip().endswith(says.rstrip())


@pytest.mark.parametrize("form", FORMATS)
def test_no_change_is_said(form: str) -> None:
    """An empty result is a whole report as well."""
    assert "compatible" in FORMATS[form](result())


def test_changelog_is_without_ids() -> None:
    """The changelog has what happened by operation, once each, and no machinery."""
    text = markdown.changelog(result(change(), change(), change(level=Level.INFO, operation="")))
    assert text == "# 1.0.0\n\n## Breaking\n\n### `GET /a`\n\n- m\n\n## Also changed\n\n### The API\n\n- m\n"


def test_ids_are_of_the_vocabulary() -> None:
    """An id outside of the vocabulary is a mistake in the code."""
    with pytest.raises(ValueError, match="not of the vocabulary"):
        change(id="request.body.exploded")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x", "accepted.toml"),
        ("accepted = 1", "not a list"),
        ('[[accepted]]\nid = "a"\n', "no reason"),
        ('[[accepted]]\nreason = "a"\n', "no id"),
        ('[[accepted]]\nid = "a"\nreason = "b"\nwho = "c"\n', "expected id, operation"),
        ('[[accepted]]\nid = 1\nreason = "b"\n', "all text"),
    ],
)
def test_acceptances_that_are_none(tmp_path: Path, text: str, says: str) -> None:
    """An entry that lacks its reason, or says more than is known, is refused."""
    (tmp_path / "accepted.toml").write_text(text)
    with pytest.raises(CommandError, match=says):
        accepted.read(tmp_path / "accepted.toml")


def test_an_acceptance_means_one_change() -> None:
    """Id, operation and, where given, place have to be the same."""
    entry = accepted.Accepted("request.type.narrowed", "GET /a", "why", "/paths")
    other = accepted.Accepted("request.type.narrowed", "GET /b", "why")
    made, unused = accepted.apply([change(), change(places=("/x", "/x"))], [entry, other])
    assert [found.accepted for found in made] == ["why", None]
    assert unused == [other]
    assert result(made[0]).verdict == "compatible"
    assert result(*made).verdict == "breaking"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x", "pyproject.toml"),
        ("tool.fastness = 1", "must be a table"),
        ("[tool.fastness.contract]\nlevel = 1", "has no setting 'level'"),
        ("[tool.fastness.contract]\nsnapshot = 1", "must be text"),
        ("[tool.fastness.contract]\ntimeout = 0", "positive"),
        ("[tool.fastness.contract.notice]\nstable = -1", "number of days"),
        ('[tool.fastness.contract.versions."v2"]\nstability = "beta"', "path prefix"),
        ('[tool.fastness.contract.versions."/v2"]\nstability = "firm"', "one of"),
    ],
)
def test_settings_that_are_none(tmp_path: Path, text: str, says: str) -> None:
    """A setting that is misspelt or impossible is refused, and not passed over."""
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(CommandError, match=says):
        settings.read(tmp_path)


def test_settings(tmp_path: Path) -> None:
    """What a project says holds; the last pattern that matches an id counts, and the longest prefix of a path."""
    (tmp_path / "pyproject.toml").write_text(
        '[tool.fastness]\napp = "a:b"\n[tool.fastness.contract.levels]\n"request.*" = "info"\n"request.type.*" = "warning"\n'
        '[tool.fastness.contract.notice]\nbeta = 7\n[tool.fastness.contract.versions."/v2"]\nstability = "beta"\n'
    )
    found = settings.read(tmp_path)
    assert found.app == "a:b"
    assert found.level("request.type.narrowed", Level.BREAKING) is Level.WARNING
    assert found.level("response.type.widened", Level.BREAKING) is Level.BREAKING
    assert (found.notice["beta"], found.notice["stable"]) == (7, 180)
    assert [found.stability(path, None) for path in ("/v2/a", "/v20/a", "/v2")] == ["beta", "stable", "beta"]
    assert found.stability("/v2/a", "stable") == "stable"


def test_the_snapshot_has_one_order(tmp_path: Path) -> None:
    """Order that means nothing leaves no trace; components that nothing uses are left out; examples stay as they are."""
    schemas = {
        "B": {"type": "object", "required": ["z", "a"], "example": {"required": ["z", "a"]}},
        "A": {"type": "null"},
        "Unused": {},
    }
    nested = {"allOf": [{"$ref": "#/components/schemas/B"}, {"$ref": "#/components/schemas/A"}]}
    one = document(body(nested), components={"schemas": schemas})
    other = json.loads(json.dumps(one))
    other["components"]["schemas"] = dict(reversed(other["components"]["schemas"].items()))
    other["components"]["schemas"]["B"]["required"] = ["a", "z"]
    assert snapshot.render(one) == snapshot.render(other)
    kept = json.loads(snapshot.render(one))["components"]["schemas"]
    assert list(kept) == ["A", "B"]
    assert kept["B"]["example"] == {"required": ["z", "a"]}
    assert snapshot.write(tmp_path / "a/b.json", one)
    assert not snapshot.write(tmp_path / "a/b.json", other)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b.json"]
