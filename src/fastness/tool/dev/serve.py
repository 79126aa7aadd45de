"""Serves an app on a socket that is already listening.

    python -m fastness.tool.dev.serve FD MODULE:ATTRIBUTE

The socket belongs to `fastness dev` and outlives each server: while one restarts, connections wait instead of failing.
"""

from __future__ import annotations

import socket
import sys

import uvicorn

STARTUP_FAILURE = 3


def main() -> None:
    """Serve until a signal comes."""
    descriptor, app = int(sys.argv[1]), sys.argv[2]
    # Which proxies are believed is the app's to say; left to itself, the server believes whoever calls from this machine.
    server = uvicorn.Server(uvicorn.Config(app, proxy_headers=False, timeout_graceful_shutdown=5))
    server.run(sockets=[socket.socket(fileno=descriptor)])
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()
