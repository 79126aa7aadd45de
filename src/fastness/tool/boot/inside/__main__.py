"""Imports an app, describes it, asks it if that is wanted, and writes what was learned. Its argument is an order in JSON."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from typing import Any

from . import describe, fence, load, probe

_BEGAN = time.monotonic()
_SHARE = 0.9  # of the time that is left: the rest is for writing down what was learned


def main(wanted: dict[str, Any]) -> int:
    """Do it. Nothing that the app does may end in a traceback: what is wrong is in the document too."""
    mine = os.getpid()
    _make_room(wanted["target"])
    document: dict[str, Any] = {"network": None if wanted["network"] else fence.close()}

    def write() -> None:
        if os.getpid() != mine:
            os._exit(0)  # the app forked when it was imported, and this is the copy
        _write(wanted["out"], document)

    try:
        loaded = load.load(wanted["target"], factory=wanted["factory"])
        document.update(describe.describe(loaded))
    except load.CannotLoadError as error:
        traceback.print_exc()  # for whoever sets FASTNESS_DEBUG
        document["error"] = str(error)
        write()
        return 1
    except BaseException as error:
        traceback.print_exc()
        document["error"] = "it was imported but cannot be described: %s: %s" % (type(error).__name__, error)
        write()
        return 1
    write()
    if wanted["probe"]:
        try:
            left = (wanted["seconds"] - (time.monotonic() - _BEGAN)) * _SHARE
            document["probe"] = probe.probe(loaded, document, lifespan=wanted["lifespan"], seconds=max(left, 1))
        except BaseException as error:
            traceback.print_exc()
            document["probe_error"] = "%s: %s" % (type(error).__name__, error)
        write()
    return 0


def _make_room(target: str) -> None:
    """Leave the interpreter as a server would have it: no names, paths or arguments of ours."""
    for name in [name for name in sys.modules if name.partition(".")[0] == __package__]:
        del sys.modules[name]  # the project may have a module of that name
    sys.path[0] = os.getcwd()
    sys.argv = ["fastness", target]


def _write(path: str, document: dict[str, Any]) -> None:
    # Whole or not at all: the process may be killed at any moment.
    with open(path + ".part", "w", encoding="utf-8") as file:
        json.dump(document, file, skipkeys=True, default=str)
    os.replace(path + ".part", path)


if __name__ == "__main__":
    code = main(json.loads(sys.argv[1]))
    # Threads that the app started must not keep the process alive, nor its exit handlers run.
    os._exit(code)
