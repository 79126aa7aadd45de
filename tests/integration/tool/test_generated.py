"""Every service that `fastness new` can write from the real template: linted, typed and tested where it was written.

Marked `generated`: the template's own tests, which take their time.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

from fastness.tool import scaffold

TEMPLATE = Path(__file__).parents[3] / "template"
FEATURES = [feature.name for feature in scaffold.available(TEMPLATE)]
VARIANTS = {"all": [], "bare": ["example"]} | {f"without-{name}": [name] for name in FEATURES if name != "example"}
# A container file and workflows are no Python: a test can only miss them by reading them, and misses them as well where
# something else is left out too. So the tests are not run without them alone.
ALONG = {"redis": "docker", "tracing": "github"}
# Neither Redis nor a container file is about the database: what is left out one by one is tested on one of the two.
TESTED = {"all on PostgreSQL": ([], "postgres"), "all on SQLite": ([], "not postgres"), "bare": (["example"], "")} | {
    f"without-{name}": ([name, ALONG[name]] if name in ALONG else [name], "not postgres")
    for name in FEATURES
    if name not in {"example", *ALONG.values()}
}


@pytest.fixture(scope="session")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared by the variants: what they have in common, all the libraries, is analysed once."""
    return tmp_path_factory.mktemp("mypy-cache")


def generate(directory: Path, without: Sequence[str]) -> Path:
    """One variant, freshly written."""
    return scaffold.create("shop", target=directory / "shop", without=without, template=TEMPLATE, git=False).path


@pytest.fixture(params=VARIANTS.values(), ids=VARIANTS)
def generated(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Each variant."""
    return generate(tmp_path, request.param)


def run(directory: Path, *command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"ENVIRONMENT", "PYTHONPATH", "MYPYPATH"}}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-6000:]}{done.stderr[-3000:]}"


def test_generated_service_passes_its_own_checks(generated: Path, mypy_cache: Path) -> None:
    """Format, lint, types and our own checks are clean in every variant, and its facts are settled."""
    run(generated, "ruff", "format", "--check", ".")
    run(generated, "ruff", "check", ".")
    run(generated, "fastness.tool", "preflight", "--check")
    run(generated, "mypy", f"--cache-dir={mypy_cache}")
    run(generated, "fastness.tool", "check", "--app", "app.main:app", "--probe", "--fail-on", "info")


@pytest.mark.generated
@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("without", "selected"), TESTED.values(), ids=TESTED)
def test_generated_service_passes_its_own_tests(tmp_path: Path, without: Sequence[str], selected: str) -> None:
    """Nothing of the rest needs what is left out."""
    run(generate(tmp_path, without), "pytest", "-q", "-p", "no:cacheprovider", "-k", selected)


def test_generated_service_has_no_trace_of_what_was_left_out(generated: Path) -> None:
    """No marker reaches the service, nor does a file that only the template or a run of it needs."""
    for path in generated.rglob("*"):
        if path.is_file():
            assert not re.search(rb"^\s*(#|<!--)\s*/?feature:", path.read_bytes(), re.MULTILINE), path
            assert not re.search(r"__pycache__|\.db$|features\.toml$|\.fastness", str(path.relative_to(generated)))
    document = tomllib.loads((generated / "pyproject.toml").read_text())
    assert document["project"]["name"] == "shop"
    assert 'NAME = "shop"' in (generated / "app/__init__.py").read_text()
    assert "AUTH_AUDIENCE=shop" in (generated / ".env").read_text()


@pytest.mark.parametrize("name", FEATURES)
def test_left_out_dependencies_are_gone(name: str, tmp_path: Path) -> None:
    """A feature's dependencies leave with it, and are there without it being left out."""
    (feature,) = (feature for feature in scaffold.available(TEMPLATE) if feature.name == name)
    whole = scaffold.create("shop", target=tmp_path / "whole", template=TEMPLATE, git=False).path
    part = scaffold.create("shop", target=tmp_path / "part", without=[name], template=TEMPLATE, git=False).path
    before, after = (tomllib.loads((path / "pyproject.toml").read_text()) for path in (whole, part))
    for file in feature.files:
        assert (whole / file).exists()
        assert not (part / file).exists()
    named = [{*document["project"]["dependencies"], *document["dependency-groups"]["dev"]} for document in (before, after)]
    assert (named[0] == named[1]) is (not feature.dependencies)
    assert (before["tool"]["fastness"]["template"]["without"], after["tool"]["fastness"]["template"]["without"]) == ([], [name])


def test_controls_that_are_taken_out_are_missed(tmp_path: Path) -> None:
    """Without its context, security and problem layers, handlers and health, a service is told so by what it answers."""
    service = scaffold.create("shop", target=tmp_path / "shop", template=TEMPLATE, git=False).path
    main = service / "app/main.py"
    text = main.read_text()
    for line in ("Middleware(ContextMiddleware", "Middleware(SecurityMiddleware", "Middleware(problems.", "health.router"):
        assert len(re.findall(rf"^.*{re.escape(line)}.*\n", text, re.MULTILINE)) == 1
        text = re.sub(rf"^.*{re.escape(line)}.*\n", "", text, flags=re.MULTILINE)
    assert "exception_handlers=problems.handlers(PROBLEMS)" in text
    main.write_text(text.replace("exception_handlers=problems.handlers(PROBLEMS)", "exception_handlers={}"))
    command = [sys.executable, "-m", "fastness.tool", "check", "--app", "app.main:app", "--probe", "--format", "json"]
    environment = {name: value for name, value in os.environ.items() if name != "ENVIRONMENT"}
    done = subprocess.run(command, cwd=service, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    found = {finding["rule"]: finding["source"] for finding in json.loads(done.stdout)["findings"]}
    assert (
        found.items()
        >= {
            "deployment/missing-readiness-probe": "boot",
            "observability/uncorrelated-requests": "probe",
            "reliability/mixed-error-envelope": "probe",
            "security/missing-body-limit": "probe",
            "security/missing-headers": "probe",
        }.items()
    )
