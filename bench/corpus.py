"""`fastness check` over real services that anyone can install: no crash, and nothing that it says of them changes unseen.

`corpus.txt` pins their sdists by hash. They are downloaded from the index that pip is configured to use, unpacked and read.
None of their code runs, no build backend either, which is why pip does not do the downloading. `corpus.json` has what was
found when somebody last looked: a change of a rule shows there as a diff that is reviewed like any other.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PINS = HERE / "corpus.txt"
STORED = HERE / "corpus.json"
DOWNLOADS = HERE.parent / ".corpus"
SECONDS = 300  # for one project, which needs a tenth of that on an idle machine
_PIN = re.compile(r"^([\w.-]+)==(\S+) \\\n {4}--hash=sha256:([0-9a-f]{64})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Pin:
    """One version of one project, and the hash of its sdist."""

    name: str
    version: str
    sha256: str


def pins(text: str) -> list[Pin]:
    """The pins of a file in pip's requirements format.

    Raises:
        ValueError: a line is neither a comment nor a version with one hash.
    """
    rest = _PIN.sub("", "\n".join(line for line in text.splitlines() if not line.startswith("#"))).strip()
    if rest:
        raise ValueError(f"{PINS.name}: not a version with the sha256 of its sdist: {rest.splitlines()[0]}")
    return [Pin(*match.groups()) for match in _PIN.finditer(text)]


def measure() -> dict[str, Any]:
    """What is found in each project, by its name and version."""
    wanted = pins(PINS.read_text())
    archives = list(_download(wanted))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip([f"{pin.name} {pin.version}" for pin in wanted], pool.map(_check, archives), strict=True))


def failures(figures: dict[str, Any], stored: dict[str, Any] | None = None) -> list[str]:
    """Every project that could not be checked, and every difference from what is stored."""
    failed = []
    if stored is None:
        stored = json.loads(STORED.read_text())
    for name in sorted({*figures, *stored}):
        now, before = figures.get(name), stored.get(name)
        if now is None or before is None:
            failed.append(f"{name}: {'not stored yet' if before is None else 'stored, but not pinned any more'}")
        elif "failed" in now:
            failed.append(f"{name}: {now['failed']}")
        else:
            failed += [f"{name}: {line}" for line in _differences(now, before)]
    if failed:
        failed.append("where the findings are right as they are now: scripts/bench corpus --write, and review the diff")
    return failed


def write(figures: dict[str, Any]) -> None:
    """Store what was found.

    Raises:
        ValueError: a project could not be checked, which must not become the state that is compared with.
    """
    broken = [f"{name}: {one['failed']}" for name, one in figures.items() if "failed" in one]
    if broken:
        raise ValueError("; ".join(broken))
    STORED.write_text(json.dumps(figures, indent=1) + "\n")


def _differences(now: dict[str, Any], before: dict[str, Any]) -> Iterator[str]:
    if now["files"] != before["files"]:
        yield f"{now['files']} files were read, {before['files']} before"
    for path in sorted({*now["not_checked"]} ^ {*before["not_checked"]}):
        yield f"{path} is {'not checked any more' if path in now['not_checked'] else 'checked now'}"
    for rule in sorted({*now["findings"], *before["findings"]}):
        found, known = now["findings"].get(rule, 0), before["findings"].get(rule, 0)
        if found != known:
            yield f"{rule} is found {found} times, {known} before"


def _check(archive: Path) -> dict[str, Any]:
    """The summary of one project, or why there is none."""
    with tempfile.TemporaryDirectory() as directory:
        with tarfile.open(archive) as sdist:
            sdist.extractall(directory, filter="data")
        (root,) = Path(directory).iterdir()
        command = [sys.executable, "-m", "fastness.tool", "check", "--static", "--format", "json", str(root)]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            return {"failed": f"not checked within {SECONDS} s"}
    if run.returncode not in (0, 1) or not run.stdout:
        return {"failed": f"exit code {run.returncode}: {run.stderr.strip()[-500:]}"}
    report = json.loads(run.stdout)
    return {
        "files": report["summary"]["files"],
        "not_checked": sorted(one["path"] for one in report["not_checked"]),
        "findings": dict(sorted(Counter(one["rule"] for one in report["findings"]).items())),
    }


def _download(wanted: list[Pin]) -> Iterator[Path]:
    """The sdists, from the directory of downloads where they are there already; their hashes are checked each time."""
    # Only who downloads needs it.
    from packaging.requirements import Requirement
    from unearth import PackageFinder

    finder = PackageFinder(index_urls=_index(), no_binary=[":all:"])
    for pin in wanted:
        hashes = {"sha256": [pin.sha256]}
        best = finder.find_best_match(Requirement(f"{pin.name}=={pin.version}"), hashes=hashes).best
        if best is None:
            raise LookupError(f"the index has no sdist of {pin.name} {pin.version} with the hash in {PINS.name}")
        yield finder.download(best.link, DOWNLOADS, hashes)


def _index() -> list[str]:
    """Where packages come from is the business of whoever installs: the index of pip's configuration, its environment first."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    settings = dict(line.split("=", 1) for line in lines if "=" in line)
    for name in (":env:.index-url", "download.index-url", "global.index-url"):
        if name in settings:
            return [str(ast.literal_eval(settings[name]))]
    return []  # the default of the ecosystem
