"""Runs a module as `python -m` would, in a process that never outlives the one that started it.

    python -m fastness.tool.dev.leash FD GRACE MODULE [ARGUMENT ...]

FD is the reading end of a pipe whose only writing end the parent holds. The kernel closes that end when the parent ends,
whatever ended it (SIGKILL too), on every POSIX system. Then this process asks itself to stop, and its whole process group
is killed once it has, or after GRACE seconds. The parent starts it as the leader of a session of its own, so the group is
this process and what it started.
"""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import threading

# Waits for the leader, not longer than the grace, then ends the group: what `Child.stop` does when there is a parent.
_REAPER = 'n=0; while [ $n -lt "$2" ] && kill -0 "$1"; do sleep 1; n=$((n + 1)); done; kill -s KILL -- "-$1"'


def _wait_for_parent(descriptor: int, grace: int) -> None:
    while os.read(descriptor, 1):
        pass
    # Outside the group and of another program: this process may be gone as soon as it is asked.
    command = ["/bin/sh", "-c", _REAPER, "leash", str(os.getpid()), str(grace)]
    subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Hold on to the parent, then become the module."""
    descriptor, grace, module = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    os.set_inheritable(descriptor, False)
    threading.Thread(target=_wait_for_parent, args=(descriptor, grace), name="leash", daemon=True).start()
    sys.argv = [module, *sys.argv[4:]]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
