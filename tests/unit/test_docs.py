"""The documentation holds together: pages written from the code, links, decisions, scripts and changelog fragments."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for pattern in ("*.md", "docs/**/*.md", "changelog.d/*.md", ".github/**/*.md") for path in ROOT.glob(pattern)
)
DECISIONS = sorted(path for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
FRAGMENTS = sorted(path for path in (ROOT / "changelog.d").glob("*.md") if path.name != "README.md")


def name(path: Path) -> str:
    """A page's path in the repository, as a test id."""
    return path.relative_to(ROOT).as_posix()


def test_reference_pages_are_what_the_code_says() -> None:
    """Settings, command line, metrics and problem types are documented as they are."""
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """A relative link in a page names a file of the repository."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in target]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_named_in_pages_exist(page: Path) -> None:
    """A script that a page tells the reader to run is there and can be run."""
    for script in set(re.findall(r"(?<![\w/.])((?:scripts|\.ci)/[a-z]+)(?![\w/.])", page.read_text())):
        assert (ROOT / script).stat().st_mode & 0o111, script


@pytest.mark.parametrize("page", DECISIONS, ids=name)
def test_decisions_have_number_and_references(page: Path) -> None:
    """A decision's title carries the number of its file, and it ends with what it rests on."""
    number = int(page.name[:4])
    text = page.read_text()
    assert text.startswith(f"# {number}. ")
    assert "## References" in text


def test_decisions_are_numbered_once() -> None:
    """No two decisions share a number."""
    numbers = [page.name[:4] for page in DECISIONS]
    assert len(set(numbers)) == len(numbers)


@pytest.mark.parametrize("fragment", FRAGMENTS, ids=name)
def test_changelog_fragments_have_a_kind(fragment: Path) -> None:
    """A fragment's name ends in one of the kinds of change that a release lists."""
    kinds = {"added", "changed", "deprecated", "removed", "fixed", "security"}
    assert fragment.name.split(".")[-2] in kinds
    assert fragment.read_text().strip()
