"""What `fastness check` takes on the command line. Nothing here is run; `run` is."""

from __future__ import annotations

import argparse
from pathlib import Path


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("directory", metavar="DIR", nargs="?", type=Path, default=Path(), help="the project (default: here)")
    parser.add_argument(
        "--format", choices=("text", "json", "sarif", "github", "junit", "html"), default="text", help="default: %(default)s"
    )
    parser.add_argument(
        "--select", metavar="RULE", action="append", default=[], help="only these rules or families; repeatable"
    )
    parser.add_argument("--ignore", metavar="RULE", action="append", default=[], help="not this one; repeatable")
    parser.add_argument("--fail-on", choices=("info", "warning", "error"), help="the mildest that exits 1 (default: warning)")
    parser.add_argument("--static", action="store_true", help="never run the project's code (the default)")
    parser.add_argument("--diff", metavar="REV", help="only what lies in lines changed since this git revision")
    parser.add_argument(
        "--jobs",
        metavar="N",
        type=_number,
        help="1: all work in one process; more share it (default: shared for a large project)",
    )
    parser.add_argument("--no-cache", action="store_true", help="neither use nor keep what was found before")
    parser.add_argument(
        "--cache-dir", metavar="DIR", type=Path, help="keep it there, not in the project (default: the user's cache directory)"
    )
    known = parser.add_argument_group("adopting it on an old project")
    known.add_argument("--baseline", metavar="FILE", type=Path, help="the findings in it are known: only new ones count")
    known.add_argument("--write-baseline", action="store_true", help="write what is found now to that file, and exit 0")
    fix = parser.add_argument_group("correcting what is found")
    fix.add_argument(
        "--fix", action="store_true", help="show the safe fixes as a diff, and make them; a terminal is asked first"
    )
    fix.add_argument("--unsafe", action="store_true", help="with --fix: those too that a person must review")
    fix.add_argument("--dry-run", action="store_true", help="with --fix: show the diff, and change nothing")
    fix.add_argument("--yes", action="store_true", help="with --fix: do not ask")
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
    if arguments.write_baseline and (arguments.fix or arguments.diff):
        raise CommandError("--write-baseline writes all that is found: leave --fix and --diff out")
    if arguments.fix and booted:
        raise CommandError("--fix works on what the sources show: leave --app, --boot and --probe out")
    if not arguments.fix and (arguments.unsafe or arguments.dry_run or arguments.yes):
        raise CommandError("--unsafe, --dry-run and --yes say how to --fix: add it")
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
        baseline=arguments.baseline,
        write_baseline=arguments.write_baseline,
        since=arguments.diff,
        jobs=arguments.jobs,
        cached=not arguments.no_cache,
        cache_directory=arguments.cache_dir,
        fixes=command.Fixes(arguments.unsafe, arguments.dry_run, arguments.yes) if arguments.fix else None,
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return seconds


def _number(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of processes: 1 or more")
    return number
