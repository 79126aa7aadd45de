"""`fastness new` on a small template: whole or not at all."""

import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from fastness.tool import scaffold
from fastness.tool.errors import CommandError

FEATURES = """\
[features.example]
summary = "The domain"
files = ["app/domain"]

[features.cache]
summary = "A cache"
files = ["app/cache.py"]
dependencies = ["redis"]
"""


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A template with a domain, a cache, a script, a picture, and what tools leave behind."""
    root = tmp_path / "template"
    files = {
        "features.toml": FEATURES,
        "pyproject.toml": '[project]\nname = "relay"\ndependencies = ["redis", "fastness"]\n',
        ".gitignore": "*.db\n",
        ".env.example": "A=1\n",
        ".github/workflows/ci.yml": "on: push\n# feature: cache\nredis: true\n# /feature: cache\n",
        "app/main.py": "a = 1\n# feature: cache\nb = 2\n# /feature: cache\n",
        "app/cache.py": "c = 3\n",
        "app/domain/__init__.py": "",
        "app/domain/deep/model.py": "d = 4\n",
        "scripts/start": "#!/bin/sh\n",
        # what runs leave behind
        "app/__pycache__/main.pyc": "x",
        "relay.db": "x",
        "relay.db-wal": "x",
        ".env": "SECRET=1\n",
        ".mypy_cache/x": "x",
        ".venv/bin/python": "x",
        ".fastness/key": "x",
    }
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (root / "scripts/start").chmod(0o755)
    (root / "logo.png").write_bytes(b"\x89PNG\xff\xfe")
    return root


def tree(directory: Path) -> set[str]:
    return {
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file() and ".git" not in path.parts
    }


def test_everything_but_litter_is_copied(template: Path, tmp_path: Path) -> None:
    """Dotfiles and binary files come along; databases, caches, secrets and the feature list do not."""
    created = scaffold.create("shop", target=tmp_path / "shop", template=template, git=False)
    assert tree(created.path) == {
        "pyproject.toml", ".gitignore", ".env.example", ".env", ".github/workflows/ci.yml", "app/main.py", "app/cache.py",
        "app/domain/__init__.py", "app/domain/deep/model.py", "scripts/start", "logo.png",
    }  # fmt: skip
    assert (created.path / "logo.png").read_bytes() == b"\x89PNG\xff\xfe"
    assert (created.path / "app/main.py").read_text() == "a = 1\nb = 2\n"
    assert created.removed == ()


def test_bare_and_without_remove(template: Path, tmp_path: Path) -> None:
    """A removed feature takes its files, whole directories, regions and dependencies; the choice is recorded."""
    created = scaffold.create("shop", target=tmp_path / "shop", template=template, bare=True, without=["cache"], git=False)
    assert tree(created.path) == {
        "pyproject.toml", ".gitignore", ".env.example", ".env", ".github/workflows/ci.yml", "app/main.py", "scripts/start",
        "logo.png",
    }  # fmt: skip
    assert (created.path / ".github/workflows/ci.yml").read_text() == "on: push\n"
    document = tomllib.loads((created.path / "pyproject.toml").read_text())
    assert document["project"] == {"name": "shop", "dependencies": ["fastness"]}
    assert document["tool"]["fastness"]["template"]["without"] == ["cache", "example"]


def test_settings_of_this_machine_are_the_example(template: Path, tmp_path: Path) -> None:
    """`.env` is a copy of `.env.example`, never the template's own `.env`."""
    path = scaffold.create("shop", target=tmp_path / "shop", template=template, git=False).path
    assert (path / ".env").read_text() == "A=1\n"


def test_the_service_calls_itself_by_its_name(template: Path, tmp_path: Path) -> None:
    """Where the template names itself the service does, in the same case; words of other files stay."""
    (template / "features.toml").write_text(f'named = ["app/main.py"]\n{FEATURES}')
    for file in ("main", "cache"):
        (template / f"app/{file}.py").write_text('NAME = "relay"\nTITLE = "Relay"\nrelayed = "x-relay:1"\n')
    path = scaffold.create("shop", target=tmp_path / "shop", template=template, git=False).path
    assert (path / "app/main.py").read_text() == 'NAME = "shop"\nTITLE = "Shop"\nrelayed = "x-shop:1"\n'
    assert "relay" in (path / "app/cache.py").read_text()


def test_executable_bits_are_kept(template: Path, tmp_path: Path) -> None:
    """A script stays executable and a module does not become so."""
    path = scaffold.create("shop", target=tmp_path / "shop", template=template, git=False).path
    assert os.access(path / "scripts/start", os.X_OK)
    assert not os.access(path / "app/main.py", os.X_OK)


def test_read_only_template_gives_a_writable_service(template: Path, tmp_path: Path) -> None:
    """Files of an installation that nobody may write become files that their owner may write."""
    (template / "app/main.py").chmod(0o444)
    path = scaffold.create("shop", target=tmp_path / "shop", template=template, git=False).path
    assert (path / "app/main.py").stat().st_mode & 0o200


def test_target_with_content_is_never_touched(template: Path, tmp_path: Path) -> None:
    """A directory that holds anything, and a file, are refused and stay as they were."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/mine").write_text("precious")
    (tmp_path / "file").write_text("precious")
    for target in ("shop", "file"):
        with pytest.raises(CommandError, match="exists"):
            scaffold.create("shop", target=tmp_path / target, template=template)
    assert tree(tmp_path / "shop") == {"mine"}
    assert (tmp_path / "file").read_text() == "precious"


def test_dangling_link_is_refused(template: Path, tmp_path: Path) -> None:
    """A symbolic link that leads nowhere is something that exists."""
    (tmp_path / "shop").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CommandError, match="exists"):
        scaffold.create("shop", target=tmp_path / "shop", template=template)


def test_empty_directory_is_used(template: Path, tmp_path: Path) -> None:
    """An empty directory becomes the service."""
    (tmp_path / "shop").mkdir()
    scaffold.create("shop", target=tmp_path / "shop", template=template, git=False)
    assert (tmp_path / "shop/app/main.py").is_file()


def test_parents_are_made(template: Path, tmp_path: Path) -> None:
    """The target's parents are made."""
    scaffold.create("shop", target=tmp_path / "a/b/shop", template=template, git=False)
    assert (tmp_path / "a/b/shop/app/main.py").is_file()


def test_default_target_is_the_name(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a target the service goes to ./NAME."""
    monkeypatch.chdir(tmp_path)
    assert scaffold.create("shop", template=template, git=False).path == tmp_path / "shop"


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit(143)])
def test_nothing_half_written_stays(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    """A full disk, Ctrl-C or SIGTERM in the middle leaves neither a service nor a temporary directory."""
    written = 0
    write_bytes = Path.write_bytes

    def failing(self: Path, data: bytes) -> int:
        nonlocal written
        written += 1
        if written == 3:
            raise failure
        return write_bytes(self, data)

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises((CommandError, KeyboardInterrupt, SystemExit)):
        scaffold.create("shop", target=tmp_path / "shop", template=template)
    assert written == 3
    assert [path.name for path in tmp_path.iterdir()] == ["template"]


def test_target_that_appears_meanwhile_is_not_overwritten(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory that someone else fills while the service is built is left alone."""
    monkeypatch.setattr(scaffold, "_check_target", lambda _: None)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/mine").touch()
    with pytest.raises(CommandError, match="cannot write"):
        scaffold.create("shop", target=tmp_path / "shop", template=template, git=False)
    assert tree(tmp_path / "shop") == {"mine"}


def test_broken_cut_is_a_fault_of_the_template(template: Path, tmp_path: Path) -> None:
    """A region whose removal leaves code that does not parse is refused, naming the file."""
    (template / "app/main.py").write_text("def f():\n    # feature: cache\n    g()\n    # /feature: cache\n")
    with pytest.raises(CommandError, match=r"app/main\.py does not parse"):
        scaffold.create("shop", target=tmp_path / "shop", template=template, without=["cache"])
    assert not (tmp_path / "shop").exists()


def test_git_needs_no_identity(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository on `main` is made without user.name, whatever repository the environment points at."""
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    created = scaffold.create("shop", target=tmp_path / "shop", template=template)
    assert created.git
    assert (created.path / ".git/HEAD").read_text() == "ref: refs/heads/main\n"
    assert not (tmp_path / "elsewhere").exists()


def test_service_works_without_git(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where git is not installed there is no repository, and no error."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not scaffold.create("shop", target=tmp_path / "shop", template=template).git


def test_no_repository_inside_a_repository(template: Path, tmp_path: Path) -> None:
    """Inside a repository the service belongs to that one."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "mono")], check=True)
    created = scaffold.create("shop", target=tmp_path / "mono/shop", template=template)
    assert not created.git
    assert not (created.path / ".git").exists()


def test_next_commands_can_be_pasted(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The description ends with two commands, quoted for a shell."""
    monkeypatch.chdir(tmp_path)
    created = scaffold.create("shop", target=tmp_path / "my services/shop", template=template, bare=True, git=False)
    lines = scaffold.describe(created).splitlines()
    assert lines[-2:] == ["  cd 'my services/shop'", "  fastness dev"]
    assert "Left out: example" in lines
