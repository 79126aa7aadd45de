"""What must not be in the repository: machine paths, package indexes, requirements without hashes. Standard library only."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

# A path that exists on one machine only. Home directories of containers (/home/app) are the image's own.
MACHINE_PATH = re.compile(r"(?<![\w.:/-])/(?:root|work|Users/\w+|home/(?!app\b)\w+)/\w")
# An index is named by whoever installs, in their own configuration.
INDEX = re.compile(r"(?:--(?:extra-)?index-url|--find-links|--default-index)\b|\b(?:pypi\.org|files\.pythonhosted\.org)\b")
LINE = re.compile(
    r"[a-z0-9][a-z0-9.-]*==[^\s;]+(?: ; [^\\]+)? \\(?:\n    --hash=sha256:[0-9a-f]{64} \\)*\n    --hash=sha256:[0-9a-f]{64}\n"
)
HERE = Path(__file__).name


def main() -> int:
    """Print what is wrong, one line each; 1 if anything is."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], capture_output=True, check=True
    )
    files = [Path(name) for name in listed.stdout.decode().split("\0") if name and Path(name).is_file()]
    found = [line for path in files for line in _findings(path)]
    print(*found, sep="\n", end="\n" if found else "")
    return 1 if found else 0


def _findings(path: Path) -> list[str]:
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return []
    if path.suffix == ".lock" and path.parent.name == "requirements":
        rest = LINE.sub("", text).strip()
        return [f"{path}: not a version with hashes: {rest.splitlines()[0]}"] if rest else []
    if path.name == HERE:
        return []
    return [
        f"{path}:{number}: {what}: {match.group()}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in (("a path of one machine", MACHINE_PATH), ("a package index", INDEX))
        if (match := pattern.search(line))
    ]


if __name__ == "__main__":
    sys.exit(main())
