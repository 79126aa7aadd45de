"""What `fastness check` takes on the command line. Nothing here is run; `run` is."""

from __future__ import annotations

import argparse
from pathlib import Path


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("directory", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: here)")
    parser.add_argument("--format", choices=("text", "json", "sarif", "github"), default="text", help="default: %(default)s")
    parser.add_argument(
        "--select", metavar="RULE", action="append", default=[], help="only these rules or families; repeatable"
    )
    parser.add_argument("--ignore", metavar="RULE", action="append", default=[], help="not this one; repeatable")
    parser.add_argument("--fail-on", choices=("info", "warning", "error"), help="the mildest that exits 1 (default: warning)")
    parser.add_argument("--static", action="store_true", help="never run the project's code (the default)")
    boot = parser.add_argument_group("running the app")
    boot.add_argument("--app", metavar="MODULE:ATTRIBUTE", help="import this app, and check what it really serves")
    boot.add_argument("--boot", action="store_true", help="import the app that [tool.fastness] names, else app.main:app")
    boot.add_argument("--probe", action="store_true", help="send it requests too, in its process; GET operations are called")
    boot.add_argument("--factory", action="store_true", help="the attribute is a function that makes the app")
    boot.add_argument("--no-lifespan", action="store_true", help="probe without the app's start-up")
    boot.add_argument("--allow-network", action="store_true", help="let it connect to anything, such as its database")
    boot.add_argument("--python", metavar="FILE", help="its interpreter (default: .venv of the project, else the active one)")
    boot.add_argument(
        "--boot-timeout", metavar="SECONDS", type=_seconds, default=60.0, help="then it is killed (default: %(default)g)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the command."""
    from fastness.tool.boot import Wanted
    from fastness.tool.check import run as command
    from fastness.tool.errors import CommandError

    booted = arguments.app is not None or arguments.boot or arguments.probe
    if booted and arguments.static:
        raise CommandError("--static runs nothing of the project: leave it out, or --app, --boot and --probe")
    wanted = Wanted(
        target=arguments.app,
        factory=arguments.factory,
        probe=arguments.probe,
        lifespan=not arguments.no_lifespan,
        network=arguments.allow_network,
        seconds=arguments.boot_timeout,
        python=arguments.python,
    )
    return command.run(
        arguments.directory,
        form=arguments.format,
        select=arguments.select,
        ignore=arguments.ignore,
        fail_on=arguments.fail_on,
        wanted=wanted if booted else None,
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return seconds
