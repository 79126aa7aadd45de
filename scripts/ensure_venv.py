"""Bring a virtual environment up to date with locks: `ensure_venv.py DIRECTORY LOCK...`. Needs the standard library only.

The stamp in the environment is a copy of what it was made from, written last: an interrupted run leaves none and the
next run goes on from there. Runs that start together wait for each other on a lock that the kernel drops with its holder.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import venv
from pathlib import Path


def main(directory: Path, locks: list[Path]) -> int:
    python = directory / "bin" / "python"
    stamp = directory / ".stamp"
    # The editable install depends on pyproject.toml too: entry points and the package's own metadata.
    wanted = b"".join(path.read_bytes() for path in (*locks, Path("pyproject.toml")))
    if _matches(stamp, wanted):
        return 0
    with Path(f"{directory}.lock").open("a") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if _matches(stamp, wanted):
            return 0
        print(f"Installing {', '.join(map(str, locks))} into {directory}", file=sys.stderr)
        stamp.unlink(missing_ok=True)
        if not _works(python):
            venv.create(directory, clear=True, with_pip=True, symlinks=True)
        pip = [os.fspath(python), "-m", "pip", "--disable-pip-version-check", "-qq", "--no-input", "install", "--no-compile"]
        requirements = [argument for path in locks for argument in ("--requirement", os.fspath(path))]
        for command in (
            # A lock is complete. Resolving it again, pip would look at newer versions of what extras name, which have no hash.
            [*pip, "--no-deps", "--require-hashes", *requirements],
            # What builds the project is in the lock as well, so nothing is fetched that the lock does not name.
            [*pip, "--no-deps", "--no-build-isolation", "--editable", "."],
        ):
            if status := subprocess.run(command, check=False).returncode:
                print(f"Installation into {directory} failed; nothing was changed outside of it.", file=sys.stderr)
                return status
        # What pip does on one processor, on all of them. Some packages carry templates that no Python compiles.
        subprocess.run([python, "-m", "compileall", "-qq", "-j", "0", directory / "lib"], check=False)
        stamp.write_bytes(wanted)
    return 0


def _matches(stamp: Path, wanted: bytes) -> bool:
    try:
        return stamp.read_bytes() == wanted and (stamp.parent / "bin" / "python").exists()
    except FileNotFoundError:
        return False


def _works(python: Path) -> bool:
    """The environment's interpreter is still there: upgrades of the system's Python break its link."""
    if not python.exists():
        return False
    return subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]]))
