"""Every rule against a real service: one that `fastness new` writes has no finding, and one edit is found where it was made.

`seeds/<family>/<rule>.diff` is the edit that a hurried developer might make; `# found` marks the lines that its rule must name,
and no others. A second edit for the same rule is `<rule>.<what>.diff`.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from fastness.tool import scaffold
from fastness.tool.check import engine, examples
from fastness.tool.check.config import Config, read
from fastness.tool.check.rules import catalogue
from fastness.tool.project.files.project import Project
from fastness.tool.project.source.module import Module

SEEDS = Path(__file__).with_name("seeds")
EDITS = sorted(SEEDS.glob("*/*.diff"))
SEEDED = 70  # rules
UNSEEDED = {
    "governance/fix-without-test": "an edit does not violate it, a commit does: its own examples are commits",
    "observability/uncorrelated-requests": "what answers say: tests/integration/tool/test_generated.py",
    "reliability/mixed-error-envelope": "what answers say: tests/integration/tool/test_generated.py",
    "security/missing-headers": "what answers say: tests/integration/tool/test_generated.py",
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The service, as its developers get it."""
    target = tmp_path_factory.mktemp("seeds") / "shop"
    return scaffold.create("shop", target=target, template=Path(__file__).parents[4] / "template", git=False).path


@pytest.fixture(scope="module")
def texts(service: Path) -> dict[str, str]:
    """Its files."""
    files = (path for path in sorted(service.rglob("*")) if path.is_file())
    return {path.relative_to(service).as_posix(): path.read_text() for path in files}


@pytest.fixture(scope="module")
def modules(texts: Mapping[str, str]) -> dict[str, Module]:
    """Its Python files, parsed once."""
    return examples.project(texts).modules


def edited(texts: Mapping[str, str], diff: str) -> dict[str, str]:
    """The files after an edit: each hunk replaces the one place that it quotes; one that quotes nothing adds to the end."""
    result = dict(texts)
    for path, hunks in re.findall(r"^\+\+\+ (\S+)\n(.*?)(?=^\+\+\+ |\Z)", diff, re.MULTILINE | re.DOTALL):
        text = result.get(path, "")
        for hunk in re.split(r"^@@\n", hunks, flags=re.MULTILINE)[1:]:
            lines = hunk.splitlines(keepends=True)
            assert all(line[0] in " +-" for line in lines), hunk
            old, new = ("".join(line[1:] for line in lines if line[0] in kinds) for kinds in (" -", " +"))
            assert not old or f"\n{text}".count(f"\n{old}") == 1, f"{path} does not have exactly once:\n{old}"
            text = f"\n{text}".replace(f"\n{old}", f"\n{new}")[1:] if old else text + new
        result[path] = text
    return result


def found(texts: Mapping[str, str], modules: Mapping[str, Module], config: Config, *rules: str) -> Iterator[tuple[str, int]]:
    """Where rules find something in these files, as the command runs them there."""
    python = {path: text.encode() for path, text in texts.items() if path.endswith(".py")}
    kept = {path: module for path, module in modules.items() if module.text == texts[path]}
    other = {path: text for path, text in texts.items() if not path.endswith(".py")}
    project = Project(python, files=other, kept=kept)
    report = engine.check(project, config, rules=[catalogue()[name] for name in rules])
    assert not report.failures
    assert not project.unreadable
    return ((finding.path, finding.line) for finding in report.findings)


@pytest.mark.parametrize("seed", EDITS, ids=lambda seed: f"{seed.parent.name}/{seed.stem}")
def test_an_edit_is_found(seed: Path, texts: dict[str, str], modules: dict[str, Module], tmp_path: Path) -> None:
    """At the marked lines, and nowhere else in the service."""
    seeded = edited(texts, seed.read_text())
    (tmp_path / "pyproject.toml").write_text(seeded["pyproject.toml"])
    places = {
        (path, number)
        for path, text in seeded.items()
        for number, line in enumerate(text.splitlines(), start=1)
        if line.endswith("# found")
    }
    assert places
    rule = f"{seed.parent.name}/{seed.name.partition('.')[0]}"
    assert set(found(seeded, modules, read(tmp_path), rule)) == places


def test_the_service_has_no_finding(texts: dict[str, str], modules: dict[str, Module], service: Path) -> None:
    """Of any rule, whatever its severity, by its own configuration."""
    assert not list(found(texts, modules, read(service), *catalogue()))


def test_every_rule_has_an_edit() -> None:
    """Or a reason why none can be written; a rule that somebody adds needs neither at first."""
    seeded = {f"{seed.parent.name}/{seed.name.partition('.')[0]}" for seed in EDITS}
    assert seeded.isdisjoint(UNSEEDED)
    assert seeded | set(UNSEEDED) <= set(catalogue())
    assert len(seeded) >= SEEDED
