"""Marked regions: what is cut, what stays, and which markers are refused."""

from pathlib import PurePath
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.tool.errors import CommandError
from fastness.tool.scaffold import regions

FEATURES = {"cache", "mail"}


def strip(text: str, *removed: str, path: str = "app/main.py") -> str:
    return regions.strip(dedent(text), path=PurePath(path), features=FEATURES, removed=removed)


def test_text_without_markers_is_untouched() -> None:
    """A file without markers stays byte for byte, odd blank lines and all."""
    text = "\n\n\na = 1\n\n\n\n\nb = 2"
    assert strip(text, "cache") == text


def test_kept_region_loses_its_markers() -> None:
    """A region that stays is there without its markers."""
    assert strip("a = 1\n# feature: cache\nb = 2\n# /feature: cache\nc = 3\n") == "a = 1\nb = 2\nc = 3\n"


def test_removed_region_goes() -> None:
    """A region of a removed feature goes with its markers."""
    assert strip("a = 1\n# feature: cache\nb = 2\n# /feature: cache\nc = 3\n", "cache") == "a = 1\nc = 3\n"


def test_only_the_named_feature_goes() -> None:
    """Regions of other features stay."""
    text = "# feature: cache\na = 1\n# /feature: cache\n# feature: mail\nb = 2\n# /feature: mail\n"
    assert strip(text, "mail") == "a = 1\n"


@pytest.mark.parametrize("removed", [(), ("cache",)])
def test_blank_lines_around_a_cut_collapse(removed: tuple[str, ...]) -> None:
    """Two blank lines before and two after a cut definition become two, not four."""
    text = """\
        def a(): ...


        # feature: cache
        def b(): ...


        # /feature: cache


        def c(): ...
        """
    kept = "def b(): ...\n\n\n" if not removed else ""
    assert strip(text, *removed) == f"def a(): ...\n\n\n{kept}def c(): ...\n"


def test_adjacent_cuts_leave_one_gap() -> None:
    """Two regions in a row, both cut, leave the blank lines of one."""
    text = """\
        a = 1

        # feature: cache
        b = 2
        # /feature: cache

        # feature: mail
        c = 3
        # /feature: mail

        d = 4
        """
    assert strip(text, "cache", "mail") == "a = 1\n\nd = 4\n"


def test_cut_at_the_edges_leaves_no_blank_lines() -> None:
    """A cut at the start or the end of a file takes the blank lines that divided it from the rest."""
    block = "# feature: cache\na = 1\n# /feature: cache\n"
    assert strip(f"{block}\n\nb = 2\n\n\n{block}", "cache") == "b = 2\n"


def test_cut_inside_brackets_and_blocks_leaves_no_blank_lines() -> None:
    """No blank line stays inside a bracket or at the start of a block, where formatters refuse it."""
    text = """\
        a = [
            1,

            # feature: cache
            2,
            # /feature: cache
        ]


        def f():
            # feature: cache
            g()
            # /feature: cache

            h()
        """
    assert strip(text, "cache") == "a = [\n    1,\n]\n\n\ndef f():\n    h()\n"


@pytest.mark.parametrize("removed", [(), ("cache",), ("mail",), ("cache", "mail")])
def test_imports_of_one_section_stay_together(removed: tuple[str, ...]) -> None:
    """The blank lines that formatters put around markers go; those between sections stay."""
    text = """\
        import re

        # feature: cache
        import redis

        # /feature: cache
        from app.core import (
            a,
        )

        # feature: mail
        from app.mail import Mail

        # /feature: mail


        def f(): ...
        """
    cache = "" if "cache" in removed else "import redis\n\n"
    mail = "" if "mail" in removed else "from app.mail import Mail\n"
    assert strip(text, *removed) == f"import re\n\n{cache}from app.core import (\n    a,\n)\n{mail}\n\ndef f(): ...\n"


def test_whole_file_in_a_region_becomes_empty() -> None:
    """A file that is one region of a removed feature becomes empty."""
    assert strip("# feature: cache\n\na = 1\n# /feature: cache\n", "cache") == ""


def test_markdown_markers_are_comments_of_markdown() -> None:
    """In Markdown a marker is an HTML comment, and a heading that looks like one stays."""
    text = "# feature: cache\n\n<!-- feature: cache -->\nCached.\n<!-- /feature: cache -->\n\nEnd.\n"
    assert strip(text, "cache", path="README.md") == "# feature: cache\n\nEnd.\n"


def test_markdown_keeps_the_blank_line_after_a_colon() -> None:
    """Text after "as follows:" keeps its paragraph."""
    text = "As follows:\n\n<!-- feature: cache -->\n- a\n<!-- /feature: cache -->\n- b\n"
    assert strip(text, "cache", path="README.md") == "As follows:\n\n- b\n"


def test_crlf_lines_are_understood() -> None:
    """Markers in a file with CRLF line ends are markers."""
    assert strip("a\r\n# feature: cache\r\nb\r\n# /feature: cache\r\nc\r\n", "cache", path="x.yaml") == "a\r\nc\r\n"


def test_trailing_comment_is_no_marker() -> None:
    """A marker stands alone on its line; the same words after code are a comment."""
    text = "a = 1  # feature: cache\n"
    assert strip(text, "cache") == text


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("# feature: cash\n# /feature: cash\n", 1, "not a feature"),
        ("# feature:\n", 1, "not a feature"),
        ("a\n# feature: cache\nb\n", 2, "never closed"),
        ("a\n# /feature: cache\n", 2, "does not start"),
        ("# feature: cache\n# /feature: mail\n", 2, "does not start"),
        ("# feature: cache\n# feature: mail\n# /feature: mail\n# /feature: cache\n", 2, "do not nest"),
        ("# feature: cache\n# feature: cache\n# /feature: cache\n", 2, "do not nest"),
    ],
)
@pytest.mark.parametrize("removed", [(), ("cache",)])
def test_bad_markers_name_file_and_line(text: str, line: int, says: str, removed: tuple[str, ...]) -> None:
    """An unknown, unclosed, unopened, crossed or nested region is refused with file and line, kept or removed."""
    with pytest.raises(CommandError, match=rf"^app/main\.py:{line}: .*{says}"):
        strip(text, *removed)


blocks = st.lists(st.tuples(st.sampled_from(["", "cache", "mail"]), st.integers(1, 3), st.integers(0, 3)), max_size=8)


@given(blocks, st.sets(st.sampled_from(["cache", "mail"])))
def test_exactly_the_lines_of_kept_features_remain(parts: list[tuple[str, int, int]], removed: set[str]) -> None:
    """Whatever is marked, the lines that remain are those outside removed regions, in order, and no marker."""
    lines: list[str] = []
    expected: list[str] = []
    for number, (name, count, blanks) in enumerate(parts):
        body = [f"x{number}_{index} = 1" for index in range(count)]
        lines += [f"# feature: {name}", *body, f"# /feature: {name}"] if name else body
        lines += [""] * blanks
        expected += [] if name in removed else body
    result = strip("\n".join([*lines, ""]), *removed)
    assert [line for line in result.splitlines() if line] == expected
