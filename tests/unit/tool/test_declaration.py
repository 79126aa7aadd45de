"""What a project declares in `[tool.fastness]`, and what is said of a declaration that is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastness.tool import declaration
from fastness.tool.errors import CommandError


def test_a_project_that_declares_nothing(tmp_path: Path) -> None:
    """Without the file, and without the table in it, there are no values and no text."""
    assert declaration.read(tmp_path).values == {}
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'a'\n")
    table = declaration.read(tmp_path)
    assert table.table("check", known={"select"}).values == {}
    assert table.text("app") is None


def test_tables_and_texts(tmp_path: Path) -> None:
    """Values are found by table and key."""
    (tmp_path / "pyproject.toml").write_text("[tool.fastness]\napp = 'a:b'\n[tool.fastness.check.per-path]\n'x/*' = 1\n")
    table = declaration.read(tmp_path)
    assert table.text("app") == "a:b"
    assert table.table("check").table("per-path").values == {"x/*": 1}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("tool = 1", r"pyproject.toml: \[tool\] must be a table, got 1"),
        ("tool.fastness = []", r"\[tool.fastness\] must be a table"),
        ("tool.fastness.check = 'all'", r"\[tool.fastness.check\] must be a table, got 'all'"),
        ("tool.fastness.check.slect = []", r"\[tool.fastness.check\] has no setting 'slect'; it knows ignore, select"),
        ("tool.fastness.app = 1", r"pyproject.toml: app in \[tool.fastness\] must be text, got 1"),
        ("tool.fastness.app = ''", r"must be text, got ''"),
        ("[tool", "pyproject.toml cannot be read: "),
        ("a = '\udcff'", "pyproject.toml cannot be read: "),
    ],
)
def test_a_declaration_that_is_none(tmp_path: Path, text: str, says: str) -> None:
    """It is refused with the file, the place and the value: a setting that does nothing would be worse."""
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(CommandError, match=says):
        table = declaration.read(tmp_path)
        table.table("check", known={"select", "ignore"})
        table.text("app")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A directory in its place is no project without a declaration."""
    (tmp_path / "pyproject.toml").mkdir()
    with pytest.raises(CommandError, match=r"pyproject.toml cannot be read: .*directory"):
        declaration.read(tmp_path)
