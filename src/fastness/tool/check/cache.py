"""What a check found, kept for the next one over the same files.

A whole run is kept under a digest of all that decides about it: every Python file by path and content, the settings, Fastness
itself and the Python that runs it. What else the rules read of the project is kept as questions with a digest of their answers,
and asked again. Of each file is kept, by its content, whether it parses, so that what no rule looks into is not parsed again.

The cache is trusted with the result, so nothing that comes with a checked project may write it: it lies in the user's own
cache directory, never in the project, and is not used when others may write there. It is JSON, so reading it runs nothing.
What cannot be read, written or understood is a run without a cache, never an error.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fastness.tool
from fastness.tool.check import recall
from fastness.tool.check.config import Config
from fastness.tool.check.local import Answers, Known
from fastness.tool.check.rule import Rule
from fastness.tool.errors import CommandError
from fastness.tool.findings import Documented, NotChecked, Report
from fastness.tool.findings.model import plain
from fastness.tool.project.files.project import Project
from fastness.tool.project.service import Service
from fastness.tool.project.source.outline import Outline

_FORMAT = 3
_RUNS = 4  # kept of one project: other selections, the branch before
_PROJECTS = 100
_LARGEST = 64 << 20  # bytes of one project's file
_OLDEST = 30 * 24 * 3600  # seconds that a project's file is kept after its last use
_OURS = re.compile(r"(?:[0-9a-f]{32}|writing-\w+)\.json")
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# What fastness check found before: no backup needs it.\n"
_BROKEN = (OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, ImportError)


def place(root: Path, wanted: Path | None) -> Path | None:
    """The directory that holds the caches of all projects: the wanted one, else the user's; None: there is none to trust.

    Raises:
        CommandError: the wanted one is in the project, which could then bring its own results.
    """
    try:
        directory = (wanted or _users()).absolute()
        inside = directory.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # nobody's home directory, a loop of symbolic links
        return None
    if inside and wanted is not None:
        raise CommandError(f"--cache-dir {wanted} is in the checked directory, whose files could then decide what is found")
    return None if inside else directory


def _users() -> Path:
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        named = os.environ.get("XDG_CACHE_HOME", "")
        base = named if named.startswith("/") else Path.home() / ".cache"  # the specification ignores relative ones
    return Path(base) / "fastness" / "check"


class Cache:
    """What is kept of one project.

    Args:
        directory: see `place`; None keeps nothing.
    """

    def __init__(self, directory: Path | None, project: Project) -> None:
        self._project = project
        self._file: Path | None = None
        self._runs: list[Any] = []
        self._answers = ""  # as they stand in the file: a run over the same files has no use for them
        self._before: Any = None
        self._outlines: dict[str, Outline] = {}
        self._now: Any = None
        if directory is None or project.root is None:
            return
        with suppress(*_BROKEN):
            self._stamp = stamp()
            self._file = directory / f"{_digest(str(project.root.resolve()))[:32]}.json"
            runs, answers = _read(self._file)
            faults: dict[str, str | None] = runs["faults"]
            if runs["stamp"] == self._stamp and all(fault is None or isinstance(fault, str) for fault in faults.values()):
                digests = ((path, project.digests[path]) for path in project.modules)
                project.faults.update({path: faults[digest] for path, digest in digests if digest in faults})
                self._runs, self._answers = list(runs["runs"]), answers

    def report(self, config: Config) -> Report | None:
        """What was found when everything was as it is; None: not known, so that modules get their outlines."""
        begin = time.perf_counter()
        with suppress(*_BROKEN):
            key = self._key(config)
            for run in self._runs:
                if run["key"] == key and all(self._project.ask(*question) == answer for question, answer in run["asked"]):
                    found = _report(run["report"])
                    self._project.readable  # noqa: B018 - what does not parse is listed, as after a check
                    with suppress(OSError):
                        os.utime(self._file or "")
                    return replace(found, seconds=time.perf_counter() - begin, fail_on=config.fail_on)
            self._outline()
        return None

    def _outline(self) -> None:
        if self._answers:
            kept = json.loads(self._answers)
            self._before, self._outlines = kept["answers"], kept["outlines"]
            for path, module in self._project.modules.items():
                module.outline = self._outlines.get(recall.named(module, self._project.digests[path]))

    def known(self, service: Service, rules: Sequence[Rule]) -> Known:
        """What was said before of single files and functions, and still holds."""
        with suppress(*_BROKEN):
            if self._before is not None:
                return recall.known(self._before, self._outlines, service, rules)
        return Known()

    def keep_answers(self, service: Service, rules: Sequence[Rule], answers: Answers) -> None:
        """Have what is said of single files and functions now kept with the report."""
        project = self._project
        drawn = {**answers.outlines, **{m.path: m.outline for m in project.modules.values() if m.outline}}
        self._now = {
            "outlines": {recall.named(project.modules[path], project.digests[path]): one for path, one in drawn.items()},
            "answers": recall.written(service, rules, answers),
        }

    def keep(self, config: Config, report: Report) -> None:
        """Keep a report for the next run, unless a rule failed inside."""
        if self._file is None or report.failures:
            return
        asked = [[list(question), answer] for question, answer in sorted(self._project.asked.items())]
        run = {"key": self._key(config), "asked": asked, "report": report}
        faults = {self._project.digests[path]: fault for path, fault in self._project.faults.items()}
        document = {"stamp": self._stamp, "faults": faults, "runs": [run, *self._runs][:_RUNS]}
        with suppress(*_BROKEN):
            _write(self._file, document, self._now)

    def _key(self, config: Config) -> str:
        # The project's file of known findings and the severity that fails are applied to what is found, and not kept.
        settings = {name: value for name, value in asdict(config).items() if name not in {"baseline", "fail_on"}}
        unread = {path: why for path, why in self._project.unreadable.items() if path not in self._project.modules}
        return _digest(json.dumps([settings, sorted(self._project.digests.items()), sorted(unread.items())], sort_keys=True))


@cache
def stamp() -> str:
    """Fastness itself and the Python that runs it: what another one kept is not read."""
    home = Path(fastness.tool.__path__[0])
    sources = ((path.relative_to(home).as_posix(), path.read_bytes()) for path in sorted(home.rglob("*.py")))
    code = hashlib.sha256(b"".join(_framed(path.encode()) + _framed(source) for path, source in sources)).hexdigest()
    return _digest(json.dumps([_FORMAT, _installed("libcst"), sys.version, code]))


def _installed(package: str) -> list[str]:
    """What its installation calls it, with the version: asking for the metadata takes ten times as long."""
    spec = find_spec(package)
    beside = Path(spec.origin).parent.parent if spec is not None and spec.origin is not None else None
    return sorted(path.name for path in beside.glob(f"{package}-*.dist-info")) if beside is not None else []


def _framed(part: bytes) -> bytes:
    return len(part).to_bytes(8) + part


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _report(kept: Mapping[str, Any]) -> Report:
    return Report(**{
        **kept,
        "findings": [recall.finding(one) for one in kept["findings"]],
        "not_checked": [NotChecked(**one) for one in kept["not_checked"]],
        "documented": {name: Documented(**one) for name, one in kept["documented"].items()},
    })  # fmt: skip


def _read(file: Path) -> tuple[Any, str]:
    """The runs, and what was said of single modules, which most readers do not need."""
    _refuse_unsafe(file.parent)
    if file.stat().st_size > _LARGEST:
        raise ValueError("too large")
    digest, _, text = file.read_text(encoding="utf-8").partition("\n")
    if digest != _digest(text):
        raise ValueError("damaged")
    runs, _, answers = text.partition("\n")
    return json.loads(runs), answers


def _write(file: Path, runs: object, answers: object) -> None:
    directory = file.parent
    if not directory.exists():  # one that is there may hold more than ours, which is to be saved and committed
        directory.mkdir(mode=0o700, parents=True)
        (directory / "CACHEDIR.TAG").write_text(_TAG, encoding="utf-8")
        (directory / ".gitignore").write_text("*\n", encoding="utf-8")
    _refuse_unsafe(directory)
    text = f"{json.dumps(runs, default=plain)}\n{json.dumps(answers, default=plain)}"
    if len(text) < _LARGEST:
        # Written beside and renamed: of two runs at once the last one wins, and no reader sees half of a file.
        descriptor, name = tempfile.mkstemp(prefix="writing-", suffix=".json", dir=directory)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as beside:
                beside.write(f"{_digest(text)}\n{text}")
            Path(name).replace(file)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    for old in _old(directory):
        old.unlink(missing_ok=True)


def _refuse_unsafe(directory: Path) -> None:
    """Others who may write there could decide what is found."""
    found = directory.stat()
    if hasattr(os, "geteuid") and (found.st_uid != os.geteuid() or found.st_mode & 0o022):
        raise ValueError("not the user's own")


def _old(directory: Path) -> Iterator[Path]:
    """Files of projects that were not checked for long, and of all but the newest, left-overs of killed runs included."""
    ours = (path for path in directory.glob("*.json") if _OURS.fullmatch(path.name))
    used = sorted(((path.stat().st_mtime, path) for path in ours), reverse=True)
    for position, (when, path) in enumerate(used):
        if position >= _PROJECTS or time.time() - when > _OLDEST:
            yield path
