"""The wheel, installed as a user would: the command works from an empty directory, without the checkout and offline."""

import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what is to be published, without a network."""
    source = tmp_path_factory.mktemp("source")
    for name in ("src", "template"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", ".*_cache", ".venv"))
    for name in (".gitignore", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    (source / "template/.fastness").mkdir(exist_ok=True)
    for litter in ("service.db", ".env", ".fastness/signing-key.json"):
        (source / "template" / litter).touch()
    out = tmp_path_factory.mktemp("wheel")
    build = f"import hatchling.build as b, sys; print(b.build_wheel({str(out)!r}))"
    subprocess.run([sys.executable, "-c", build], cwd=source, check=True, capture_output=True, timeout=6000)
    (path,) = out.glob("fastness-*.whl")
    return path


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`fastness` in an environment that has the wheel, and the dependencies of this one."""
    environment = tmp_path_factory.mktemp("environment")
    venv.create(environment, symlinks=True)
    python = environment / "bin/python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], check=True, capture_output=True, text=True
    )
    # pip of this environment installs into the other one: the wheel alone, from the file.
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel],
        check=True,
        capture_output=True,
        timeout=6000,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )
    # Behind the wheel on the path, so that `fastness` itself is never the checkout's. A .pth of the checkout is not read there.
    dependencies = subprocess.run(
        [sys.executable, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True,
        capture_output=True,
        text=True,
    )
    (Path(site.stdout.strip()) / "dependencies.pth").write_text(dependencies.stdout)
    return environment / "bin/fastness"


def run(command: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(cwd)}
    return subprocess.run(
        [command, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, check=False
    )


def test_new_works_from_the_wheel(command: Path, tmp_path: Path) -> None:
    """`fastness new` writes a whole service from the installed wheel, executable bits and dotfiles included."""
    done = run(command, "new", "shop", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["  cd shop", "  fastness dev"]
    for name in ("app/main.py", ".gitignore", ".env.example", "pyproject.toml"):
        assert (tmp_path / "shop" / name).is_file()
    for path in (path for path in (ROOT / "template").rglob("*") if path.is_file() and os.access(path, os.X_OK)):
        if not {".venv", ".git"}.intersection(path.parts):
            assert os.access(tmp_path / "shop" / path.relative_to(ROOT / "template"), os.X_OK)
    assert not (tmp_path / "shop/service.db").exists()


def test_command_is_the_wheels_own(command: Path, tmp_path: Path) -> None:
    """The test would mean nothing if the checkout were imported."""
    python = command.with_name("python")
    done = subprocess.run(
        [python, "-c", "import fastness; print(fastness.__file__)"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()).is_relative_to(command.parents[1])


def test_features_and_version(command: Path, tmp_path: Path) -> None:
    """The features of the template are listed, and the version is the wheel's."""
    assert "example" in run(command, "features", cwd=tmp_path).stdout
    assert run(command, "--version", cwd=tmp_path).stdout.startswith("fastness ")


def test_existing_directory_is_refused(command: Path, tmp_path: Path) -> None:
    """A second run does not overwrite the first: one line, exit code 2."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/mine").touch()
    done = run(command, "new", "shop", cwd=tmp_path)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_wheel_holds_no_litter(wheel: Path) -> None:
    """No cache, database, local setting or key of the checkout is published."""
    names = zipfile.ZipFile(wheel).namelist()
    assert "fastness/_template/features.toml" in names
    assert not [name for name in names if "__pycache__" in name or name.endswith((".db", "/.env", ".pyc", "key.json"))]
