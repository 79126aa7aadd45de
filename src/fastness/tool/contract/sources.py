"""Where documents come from: a file, `git:REV` or `git:REV:PATH`, a URL. Each is parsed and checked before it is compared."""

from __future__ import annotations

import os
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from fastness.tool.contract import references
from fastness.tool.contract.model import Contract, contract
from fastness.tool.contract.syntax import LARGEST, parse
from fastness.tool.errors import CommandError

_URL = re.compile(r"https?://", re.IGNORECASE)
_SECONDS = 30


def load(source: str, *, old: bool, snapshot: Path, allow_remote: bool = False) -> Contract:
    """The contract that a source holds.

    Args:
        source: a path, `-` for standard input is none; `git:REV` is the snapshot at that revision, `git:REV:PATH` another
            file of the repository; `http://` and `https://` are fetched.
        snapshot: the committed document, for `git:REV`.
        allow_remote: follow references to other files and URLs.

    Raises:
        CommandError: it cannot be read, is not OpenAPI 3, or refers to what is not there.
    """
    base = source
    if source.startswith("git:"):
        text = _git(source, snapshot)
    elif _URL.match(source):
        text = _fetch(source)
    else:
        path = Path(source)
        base = path.resolve().as_uri()
        text = _read(path)
    raw = parse(text, source)
    if allow_remote and isinstance(raw, dict):
        raw = references.bundle(raw, base, _load_part)
    return checked(raw, label=source, old=old)


def checked(raw: Any, *, label: str, old: bool) -> Contract:
    """The contract of parsed data.

    Raises:
        CommandError: it is not OpenAPI 3, or refers to what is not there.
    """
    if not isinstance(raw, dict):
        raise CommandError(f"{label}: not an OpenAPI document: expected an object, found {type(raw).__name__}")
    if "swagger" in raw:
        raise CommandError(f"{label}: Swagger {raw['swagger']} is not compared: convert it to OpenAPI 3 first")
    version = raw.get("openapi")
    if version is None:
        raise CommandError(f"{label}: not an OpenAPI document: it has no `openapi` field")
    if not re.fullmatch(r"3\.[0-2](\.\d+)?(-.*)?", str(version)):
        raise CommandError(f"{label}: openapi {version} is not known; 3.0, 3.1 and 3.2 are")
    if not any(isinstance(raw.get(name), dict) for name in ("paths", "webhooks", "components")):
        raise CommandError(f"{label}: not an OpenAPI document: it has neither paths nor webhooks nor components")
    references.check(raw, label)
    return contract(raw, label=label, old=old)


def _read(path: Path) -> bytes:
    try:
        if path.is_file() and path.stat().st_size > LARGEST:
            raise CommandError(f"{path}: larger than the {LARGEST >> 20} MiB that a document may have")
        with path.open("rb") as file:
            return file.read(LARGEST + 1)  # a pipe has no size
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None


def _git(source: str, snapshot: Path) -> bytes:
    _, _, rest = source.partition(":")
    revision, _, path = rest.partition(":")
    if not revision or revision.startswith("-"):
        raise CommandError(f"{source}: expected git:REV or git:REV:PATH")
    directory = snapshot.parent if snapshot.parent.is_dir() else Path()
    name = f"{revision}:{path}" if path else f"{revision}:./{snapshot.name}"
    command = ["git", "-C", str(Path() if path else directory), "show", "--end-of-options", name]
    try:
        done = subprocess.run(command, capture_output=True, check=False, timeout=_SECONDS, env={**os.environ, "LC_ALL": "C"})
    except FileNotFoundError:
        raise CommandError(f"{source}: git is not installed") from None
    except subprocess.TimeoutExpired:
        raise CommandError(f"{source}: git did not answer within {_SECONDS} s") from None
    if done.returncode != 0:
        message = done.stderr.decode(errors="replace").strip().splitlines()
        raise CommandError(f"{source}: {message[-1] if message else 'git failed'}")
    return done.stdout


def _fetch(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"Accept": "application/json, application/yaml, */*"})  # noqa: S310 - http(s) only
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:  # noqa: S310
            text: bytes = response.read(LARGEST + 1)
            return text
    except urllib.error.HTTPError as error:
        raise CommandError(f"{url}: answered {error.code}") from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise CommandError(f"{url}: {getattr(error, 'reason', None) or error}") from None


def _load_part(where: str, origin: str) -> Any:
    """Another file or URL. What came over the network has no say in which files of this machine are read."""
    if _URL.match(where):
        return parse(_fetch(where), where)
    if where.startswith("file://") and not _URL.match(origin):
        path = Path(urllib.request.url2pathname(where.removeprefix("file://")))
        return parse(_read(path), str(path))
    raise CommandError(f"{origin}: $ref to {where!r} is not followed: only http(s) is, and files from a file")
