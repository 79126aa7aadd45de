"""Library calls that hold their thread: on the event loop, every other request waits for them.

Paths are as in `fastness.tool.project.names.values.External`. Constructors that only store their arguments are not listed.
"""

from __future__ import annotations

import re
from functools import cache

from fastness.tool.check.knowledge.running import clients
from fastness.tool.project.flow.calls import Outward
from fastness.tool.project.source.symbols import constant, last_name

DATABASE, NETWORK, SLEEP, SUBPROCESS, FILE = "database", "network", "sleep", "subprocess", "file"
THREAD = "waits for a thread"

# Worst first: a chain to the first of these is the one that is shown.
ORDER = (SLEEP, DATABASE, NETWORK, SUBPROCESS, THREAD, FILE)

_PATH = "read_text|read_bytes|write_text|write_bytes|open"

_PATTERNS: dict[str, tuple[str, ...]] = {
    DATABASE: clients.DATABASES,
    NETWORK: clients.NETWORK,
    SLEEP: (r"time\.sleep",),
    SUBPROCESS: (
        r"subprocess\.(?:run|call|check_call|check_output|getoutput|getstatusoutput)",
        r"subprocess\.Popen\(\)\.(?:wait|communicate)",
        r"os\.(?:system|popen|waitpid)",
        r"pypandoc\.convert_\w+",
        r"pdfkit\.from_\w+|pdf2image\.convert_from_\w+|pydub\.AudioSegment\.from_\w+",
        r"python_on_whales\.(?:docker|DockerClient\(\))\..*\w",
    ),
    THREAD: (
        r"(?:threading\.(?:Thread|Timer)|multiprocessing\.Process)\(\)\.join",
        r"threading\.(?:Event|Condition|Barrier)\(\)\.wait(?:_for)?",
        r"concurrent\.futures\.(?:\w+\.)?(?:Thread|Process)PoolExecutor\(\)\.submit\(\)\.(?:result|exception)",
        r"concurrent\.futures\.(?:\w+\.)?(?:wait|as_completed)",
        r"multiprocessing\.(?:pool\.)?(?:Thread)?Pool\(\)\.(?:map|starmap|apply|join)",
    ),
    FILE: (
        r"open",
        r"io\.open",
        rf"pathlib\.Path\(\)\.(?:{_PATH})",
        r"shutil\.(?:copy\w*|move|rmtree|make_archive|unpack_archive)",
        r"zipfile\.ZipFile\(\)\.(?:extract\w*|write)",
    ),
}
_HEADS = re.compile(r"(?:^|\(\?:|\|)([A-Za-z_]\w*)(\??)(?!\\w|\w)")


def _by_package() -> tuple[dict[str, list[tuple[str, str]]], list[tuple[str, str]]]:
    """The patterns that can match what belongs to a package, and those for which that cannot be told.

    No project uses more than a few of these libraries, and to compile the patterns of all takes as long as to read 5,000 lines.
    """
    of: dict[str, list[tuple[str, str]]] = {}
    anywhere = []
    for kind, patterns in _PATTERNS.items():
        for pattern in patterns:
            heads = {name for head, optional in _HEADS.findall(pattern) for name in (head, head[: -len(optional) or None])}
            for head in heads:
                of.setdefault(head, []).append((kind, pattern))
            if not heads or _OPEN.match(pattern):
                anywhere.append((kind, pattern))
    return of, anywhere


_OPEN = re.compile(r"(?:\(\?:)?(?:\.\*|\w+\\w)")
_OF_PACKAGE, _ANYWHERE = _by_package()


def _joined(patterns: list[tuple[str, str]]) -> list[tuple[str, re.Pattern[str]]]:
    of = {kind: "|".join(f"(?:{pattern})" for one, pattern in patterns if one == kind) for kind in _PATTERNS}
    return [(kind, re.compile(pattern)) for kind, pattern in of.items() if pattern]


_OPEN_ENDED = _joined(_ANYWHERE)


@cache
def _compiled(package: str) -> list[tuple[str, re.Pattern[str]]]:
    return [*_joined(_OF_PACKAGE.get(package, [])), *_OPEN_ENDED]


@cache
def kind(path: str) -> str | None:
    """Why a call holds its thread, None when it does not, as far as is known."""
    package = path.partition(".")[0].removesuffix("()")
    return next((kind for kind, pattern in _compiled(package) if pattern.fullmatch(path)), None)


def of(call: Outward) -> str | None:
    """Why this call holds its thread, where its arguments decide, too."""
    path = call.target.path
    if path == "open":  # what the kernel tells of itself under a file's name is on no disk
        file = constant(call.site.argument("file", 0))
        return None if isinstance(file, str) and file.startswith(("/proc/", "/sys/")) else FILE
    if path == "feedparser.parse":
        feed = call.site.argument("url_file_stream_or_string", 0)
        return None if feed is not None and _IS_THERE.search(last_name(feed)) else NETWORK
    if _MEASURES.fullmatch(path):
        return SLEEP if constant(call.site.argument("interval", 0)) else None
    return kind(path)


_IS_THERE = re.compile(r"(?:^|_)(?:content|text|xml|body|data|bytes|raw)$")  # what was fetched before, as `response.text`
_MEASURES = re.compile(r"psutil\.(?:Process\(\)\.)?cpu_(?:times_)?percent")  # for as long as they are told to


def display(path: str) -> str:
    """A path as a person would write it."""
    return path.replace("()", "")
