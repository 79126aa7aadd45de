"""Schemathesis against the reference service: every operation, every check, from the OpenAPI document that it serves.

`scripts/fuzz --examples 20` is the short form for CI. What fails is printed with a seed and a curl command to repeat it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from bench import relay

SCOPES = ("endpoints:read", "endpoints:write", "events:read", "events:write", "deliveries:read", "deliveries:write")


def main() -> int:
    """Run Schemathesis; its exit code."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description=__doc__)
    parser.add_argument("--examples", type=int, default=300, help="cases to generate for each operation (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="repeat a run")
    arguments = parser.parse_args()
    schemathesis = Path(sys.executable).with_name("schemathesis")
    with relay.migrated() as service, relay.served(service) as (url, _):
        token = relay.token(service, *SCOPES)
        command = [str(schemathesis), "--config-file", str(Path(__file__).with_name("schemathesis.toml"))]
        command += ["--no-color", "run", f"{url}/openapi.json", "--checks", "all", "--continue-on-failure"]
        command += ["--header", f"Authorization: Bearer {token}", "--max-examples", str(arguments.examples)]
        # Without a seed two runs try different things: that is how a fuzzer finds more over time.
        command += ["--seed", str(arguments.seed)] if arguments.seed is not None else []
        return subprocess.run(command, cwd=service.parent, check=False, stdin=subprocess.DEVNULL).returncode


if __name__ == "__main__":
    sys.exit(main())
