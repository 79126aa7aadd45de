"""The command line of the bench: `scripts/bench NAME [--json] [--gate]`. Parsing and printing only."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_LOOKS = 3


def _overhead(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import overhead

    figures = overhead.measure(rounds=arguments.rounds or 12)
    return figures, overhead.failures(figures)


def _inprocess(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import overhead

    # Work of others on this machine only ever adds: of several looks at a gate, the best is the nearest to the truth.
    looks = _LOOKS if arguments.gate else 1
    while True:
        extra, share = overhead.in_process(processes=arguments.rounds or 5, connections=arguments.connections)
        figures = {"in_process_us": extra, "share_of_bare": share}
        failed = overhead.failures(figures)
        if arguments.at_most is not None:
            failed = [f"share_of_bare is {share}, at most {arguments.at_most} is wanted"] if share > arguments.at_most else []
        looks -= 1
        if not (failed and looks):
            return figures, failed


def _layers(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import layers

    if arguments.profile:
        layers.profile()
        return None, []
    return layers.measure(processes=arguments.rounds or 3), []


def _imports(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import startup

    figures = startup.imports(runs=arguments.rounds or 9)
    return figures, startup.failures(figures, at_most=arguments.at_most)


def _startup(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import startup

    figures = startup.ready(runs=arguments.rounds or 3)
    return figures, startup.failures(figures, at_most=arguments.at_most)


def _idempotency(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import idempotency

    figures = idempotency.measure(rounds=arguments.rounds or 2000)
    return figures, idempotency.failures(figures)


def _retries(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import retries

    figures = retries.measure(calls=1_000 * (arguments.rounds or 1))
    return figures, retries.failures(figures)


def _chaos(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import chaos

    figures = chaos.measure(database=arguments.database, kills=arguments.kills)
    return figures, chaos.failures(figures)


def _drain(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import drain

    figures = drain.measure(restarts=arguments.restarts)
    return figures, drain.failures(figures)


def _jobs(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import jobs

    figures = jobs.measure(rounds=arguments.rounds or 3, jobs=2000)
    return figures, jobs.failures(figures)


def _contract(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import contract

    figures = contract.measure(rounds=arguments.rounds or 5)
    return figures, contract.failures(figures)


def _mutation(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import mutation

    try:
        figures = mutation.measure(
            operators=arguments.operators, only=arguments.only, changed=arguments.changed, sample=arguments.sample
        )
    except mutation.ArgumentError as error:
        print(f"scripts/bench mutation: {error}", file=sys.stderr)
        raise SystemExit(2) from error
    return figures, mutation.failures(figures)


def _check(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import check

    figures = check.measure(sources=arguments.sources, rounds=arguments.rounds or 3, peer=arguments.peer)
    return figures, check.failures(figures)


def _fixes(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import check_fixes

    figures = check_fixes.measure(arguments.sources, rules=arguments.rule, projects=arguments.project, diff=arguments.diff)
    return figures, check_fixes.failures(figures)


def _corpus(arguments: argparse.Namespace) -> tuple[Any, list[str]]:
    from bench import corpus

    figures = corpus.measure()
    if arguments.write:
        corpus.write(figures)
    return figures, corpus.failures(figures)


COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], tuple[Any, list[str]]], str]] = {
    "overhead": (_overhead, "CPU per request beside bare FastAPI and two stacks of public packages (about two minutes)"),
    "inprocess": (_inprocess, "extra CPU per request without a socket: the part of `overhead` that CI gates on"),
    "layers": (_layers, "the same for each layer alone and for all but one; --profile says where the time goes"),
    "imports": (_imports, "milliseconds that imports of fastness add to those of the libraries, in the template's processes"),
    "jobs": (_jobs, "jobs per second beside procrastinate's own loop, on the same PostgreSQL"),
    "startup": (_startup, "seconds from process start to ready, for the template on SQLite"),
    "contract": (_contract, "seconds to compare a document of 1,000 operations, and the template's, with edited copies"),
    "check": (_check, "thousand lines a second of `fastness check`, without a cache and with one"),
    "fixes": (_fixes, "what `fastness check --fix --unsafe` makes of copies of projects, checked again from the disk"),
    "corpus": (_corpus, "findings of `fastness check` in pinned public services, beside those that were last reviewed"),
    "chaos": (_chaos, "what was lost, duplicated or left behind after that many SIGKILLs under load (about 2 s each)"),
    "drain": (_drain, "requests that fail while two replicas are restarted in turn under load (about 8 s each)"),
    "retries": (_retries, "requests to a dead upstream per call, with the retry budget and without; --rounds are thousands"),
    "idempotency": (_idempotency, "median time of a POST with a key over the same POST without one, on PostgreSQL"),
    "mutation": (_mutation, "functions of the request path whose behaviour can be removed with no test failing"),
}


def main(words: list[str] | None = None) -> int:
    """Run one measurement. 1 when `--gate` is given and a figure is out of its limit."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description="Measure Fastness beside what it is compared with.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, (_, help_) in COMMANDS.items():
        command = commands.add_parser(name, help=help_, description=help_)
        command.add_argument("--json", action="store_true", help="print one JSON document and nothing else")
        command.add_argument("--gate", action="store_true", help="exit with 1 when a figure is out of its limit")
        command.add_argument("--rounds", type=int, help="more rounds, less noise")
        if name == "inprocess":
            command.add_argument(
                "--at-most",
                type=float,
                help="for the gate: share of bare FastAPI's cost, instead of 22 us",
            )
            command.add_argument("--connections", type=int, default=32, help="that send at once (default: %(default)s)")
        if name in {"imports", "startup"}:
            command.add_argument("--at-most", type=float, help="for the gate: times FastAPI's own import, instead of a time")
        if name == "chaos":
            command.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite", help="default: %(default)s")
            command.add_argument("--kills", type=int, default=20, help="how many processes to kill (default: %(default)s)")
        if name == "check":
            command.add_argument("--sources", type=Path, metavar="DIR", help="checkouts of projects (default: one is written)")
            command.add_argument("--peer", metavar="COMMAND", help="time another checker too, run in the project's directory")
        if name == "fixes":
            command.add_argument("--sources", type=Path, metavar="DIR", required=True, help="checkouts of projects")
            command.add_argument("--rule", action="append", default=[], help="only findings of this one; repeatable")
            command.add_argument("--project", action="append", default=[], help="only this directory of DIR; repeatable")
            command.add_argument("--diff", action="store_true", help="print what was changed")
        if name == "drain":
            command.add_argument("--restarts", type=int, default=20, help="how many (default: %(default)s)")
        if name == "corpus":
            command.add_argument("--write", action="store_true", help="store what is found, to be reviewed as a diff")
        if name == "layers":
            command.add_argument("--profile", action="store_true", help="profile the whole pass instead")
        if name == "mutation":
            command.add_argument("--operators", action="store_true", help="change operators in the security-critical modules")
            command.add_argument("--changed", metavar="REV", help="only functions that have changed since that revision")
            command.add_argument("--sample", type=int, metavar="N", help="only so many mutants, the same ones every time")
            command.add_argument("only", nargs="*", metavar="PART", help="only functions with one of these in their name")
    arguments = parser.parse_args(words)
    figures, failed = COMMANDS[arguments.command][0](arguments)
    if figures is not None:
        print(json.dumps(figures, indent=None if arguments.json else 2))
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed and arguments.gate else 0


def _end(*_: object) -> None:
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)  # servers that were started end with the measurement
    sys.exit(main())
