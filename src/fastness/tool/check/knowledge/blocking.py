"""Library calls that hold their thread: on the event loop, every other request waits for them.

Paths are as in `fastness.tool.project.values.External`. Constructors that only store their arguments are not listed.
"""

from __future__ import annotations

import re
from functools import cache

from fastness.tool.check.knowledge import clients
from fastness.tool.project.calls import Outward
from fastness.tool.project.symbols import constant

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
        r"pdfkit\.from_\w+",
    ),
    THREAD: (
        r"(?:threading\.(?:Thread|Timer)|multiprocessing\.Process)\(\)\.join",
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
_COMPILED = [(kind, re.compile("|".join(f"(?:{pattern})" for pattern in patterns))) for kind, patterns in _PATTERNS.items()]


@cache
def kind(path: str) -> str | None:
    """Why a call holds its thread, None when it does not, as far as is known."""
    return next((kind for kind, pattern in _COMPILED if pattern.fullmatch(path)), None)


def is_in_memory(call: Outward) -> bool:
    """What the kernel tells of itself under a file's name is on no disk."""
    path = constant(call.site.argument("file", 0)) if call.target.path == "open" else None
    return isinstance(path, str) and path.startswith(("/proc/", "/sys/"))


def display(path: str) -> str:
    """A path as a person would write it."""
    return path.replace("()", "")
