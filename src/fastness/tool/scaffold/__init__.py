"""`fastness new`: a service from the template, whole or not at all.

Everything is built in a directory beside the target and moved into place by one rename, so an interrupted run leaves no
half of a service. Nothing is downloaded.
"""

from __future__ import annotations

import ast
import os
import secrets
import shlex
import shutil
import stat
import subprocess
import tomllib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import metadata, resources
from pathlib import Path, PurePath

from fastness.tool.errors import CommandError
from fastness.tool.scaffold import features as _features
from fastness.tool.scaffold import project, regions
from fastness.tool.scaffold.features import Feature

# What tools and runs leave behind in a template that is worked on where it stands.
_LITTER = (
    ".*_cache", ".coverage*", ".env", ".fastness", ".git", ".hypothesis", ".schemathesis", ".venv", "*.db", "*.db-*",
    "*.egg-info", "*.py[cod]", "*.sqlite3*", "__pycache__", "htmlcov", ".DS_Store",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Created:
    """What `create` made.

    Attributes:
        path: the service's directory.
        removed: names of the features that were left out.
        git: a repository was initialised.
    """

    path: Path
    removed: tuple[str, ...]
    git: bool


@contextmanager
def template_directory() -> Iterator[Path]:
    """The template that belongs to this version: inside the installed package, or beside it in a checkout."""
    package = resources.files("fastness")
    with resources.as_file(package) as root:
        for candidate in (root / "_template", root.parents[1] / "template"):
            if (candidate / _features.FILE).is_file():
                yield candidate
                return
    raise CommandError("this installation has no template: reinstall with pip install --force-reinstall 'fastness[tool]'")


def available(template: Path | None = None) -> list[Feature]:
    """The optional features of the template, by name."""
    if template is not None:
        return sorted(_features.read(template).values(), key=lambda feature: feature.name)
    with template_directory() as directory:
        return available(directory)


def create(
    name: str,
    *,
    target: Path | None = None,
    without: Sequence[str] = (),
    bare: bool = False,
    template: Path | None = None,
    git: bool = True,
) -> Created:
    """Write a new service.

    Args:
        name: the project's name (PEP 508).
        target: directory to create; `./NAME` by default. It may exist when it is empty.
        without: features to leave out.
        bare: leave the example domain out: the same as the feature `example` in `without`.
        template: directory of the template; the one of this version by default.
        git: initialise a git repository, where git is installed and the target is not inside one.

    Raises:
        CommandError: the name, a feature, the target or the template is not usable. Nothing was written then.
    """
    project.check_name(name)
    if template is None:
        with template_directory() as directory:
            return create(name, target=target, without=without, bare=bare, template=directory, git=git)
    declared = _features.read(template)
    removed = _features.choose(declared, without=[*without, *([_features.EXAMPLE] if bare else [])])
    target = Path(os.path.abspath(target or name))  # noqa: PTH100 - resolve() would replace a symbolic link's own name
    _check_target(target)
    partial = target.parent / f".{target.name}.{secrets.token_hex(4)}.partial"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.mkdir()
        _write(template, partial, name=name, features=declared, removed=removed)
        _write_settings(partial)
        has_git = git and _initialise_git(partial)
        partial.rename(target)
    except OSError as error:
        raise CommandError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Created(path=target, removed=tuple(feature.name for feature in removed), git=has_git)


def describe(created: Created) -> str:
    """What was made and the next two commands, for people."""
    where = created.path if created.path == Path.cwd() else os.path.relpath(created.path)
    lines = [f"Created {created.path.name} in {created.path}"]
    if created.removed:
        lines.append(f"Left out: {', '.join(created.removed)}")
    if created.git:
        lines.append("Initialised a git repository")
    return "\n".join([*lines, "", "Next:", f"  cd {shlex.quote(str(where))}", "  fastness dev"])


def _check_target(target: Path) -> None:
    if target.is_dir():
        if any(target.iterdir()):
            raise CommandError(f"{target} exists and is not empty: choose another name or --directory")
    elif target.exists() or target.is_symlink():
        raise CommandError(f"{target} exists and is not a directory: choose another name or --directory")


def _write(template: Path, into: Path, *, name: str, features: Collection[str], removed: Sequence[Feature]) -> None:
    gone = {PurePath(file) for feature in removed for file in feature.files}
    names = {feature.name for feature in removed}
    named = _features.named(template)
    own_name = project.template_name((template / "pyproject.toml").read_text(encoding="utf-8")) if named else ""
    for source in _files(template):
        path = source.relative_to(template)
        if path == PurePath(_features.FILE) or not gone.isdisjoint([path, *path.parents]):
            continue
        content = source.read_bytes()
        try:
            text = regions.strip(content.decode("utf-8"), path=path, features=features, removed=names)
        except UnicodeDecodeError:
            pass  # an image, say: it has no regions
        else:
            if path == PurePath("pyproject.toml"):
                text = project.edit(
                    text,
                    name=name,
                    removed=[dependency for feature in removed for dependency in feature.dependencies],
                    facts={"version": metadata.version("fastness"), "without": sorted(names)},
                )
            if path in named:
                text = project.rename(text, old=own_name, new=name)
            _check_syntax(text, path)
            content = text.encode("utf-8")
        _write_file(into / path, content, executable=bool(source.stat().st_mode & stat.S_IXUSR))


def _write_settings(service: Path) -> None:
    """The settings of this machine, which git ignores: what runs where nobody says otherwise runs in development."""
    example = service / ".env.example"
    if example.is_file():
        _write_file(service / ".env", example.read_bytes(), executable=False)


def _files(directory: Path) -> Iterator[Path]:
    for entry in sorted(directory.iterdir()):
        if any(fnmatchcase(entry.name, pattern) for pattern in _LITTER):
            continue
        if entry.is_dir():
            yield from _files(entry)
        else:
            yield entry


def _write_file(path: Path, content: bytes, *, executable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if executable:
        mode = stat.S_IMODE(path.stat().st_mode)
        path.chmod(mode | (mode & 0o444) >> 2)  # executable for whom the umask lets read


def _check_syntax(text: str, path: PurePath) -> None:
    """What was cut must leave a file that still parses."""
    try:
        if path.suffix == ".py":
            ast.parse(text)
        elif path.suffix == ".toml":
            tomllib.loads(text)
    except (SyntaxError, tomllib.TOMLDecodeError) as error:
        raise CommandError(f"{path} does not parse without the features left out: {error}") from error


def _initialise_git(directory: Path) -> bool:
    """Make `directory` a git repository; False when it cannot be, or is inside one already."""
    git = shutil.which("git")
    if git is None:
        return False
    # A hook or an alias that runs this command has pointed git at its own repository.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}

    def run(*arguments: str) -> bool:
        command = [git, *arguments]
        try:
            done = subprocess.run(command, cwd=directory, env=environment, capture_output=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    inside = run("rev-parse", "--is-inside-work-tree")
    return not inside and run("-c", "init.defaultBranch=main", "init", "--quiet")
