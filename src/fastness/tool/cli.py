"""The command line: parsing and exit codes, nothing else. Each command imports its module when it runs.

Exit codes: 0 done, 1 a step failed or something was found, 2 the command could not run; 130 and 143 when interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from fastness.tool.check import arguments as check_arguments
from fastness.tool.errors import CANNOT_RUN, OK, CommandError
from fastness.tool.servicemap import command as map_command

_OLDEST_PYTHON = (3, 11)
_DEBUG = "FASTNESS_DEBUG"
_TARGET = "the worker's resources (default: worker in [tool.fastness], else app.worker:resources)"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    A failure is one line on standard error; `FASTNESS_DEBUG=1` adds the traceback.
    """
    if sys.version_info < _OLDEST_PYTHON:
        found, needed = (".".join(map(str, version[:2])) for version in (sys.version_info, _OLDEST_PYTHON))
        return _fail(f"Python {found} is too old: Fastness needs {needed} or newer")
    arguments = _parser().parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _terminated)
    try:
        code: int = arguments.run(arguments)
    except CommandError as error:
        return _fail(str(error), code=error.code)
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # Nobody reads on. Without this the interpreter's last flush would fail again, and say so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except Exception as error:  # noqa: BLE001 - what was not foreseen is one line too; the traceback is a variable away
        return _fail(_unforeseen(error))
    return code


def _unforeseen(error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed here: pip install 'fastness[all]'"
    if isinstance(error, OSError):
        return str(error)
    return f"unexpected {type(error).__name__}: {error} (set {_DEBUG}=1 for the traceback, and report it)"


def _fail(message: str, code: int = CANNOT_RUN) -> int:
    if os.environ.get(_DEBUG) and sys.exc_info()[0]:
        import traceback

        traceback.print_exc()
    print(f"fastness: {message}", file=sys.stderr)
    return code


def _terminated(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)  # unwinds, so that half-done work is cleaned up


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(CANNOT_RUN, f"{self.prog}: {message} (see '{self.prog} --help')\n")


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import version

        print(f"fastness {version('fastness')}")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="fastness", description="Takes a FastAPI app to production.", allow_abbrev=False)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    new = _command(commands, "new", _new, "write a new service")
    new.add_argument("name", metavar="NAME", help="the project's name")
    new.add_argument("--bare", action="store_true", help="leave the example domain out")
    new.add_argument("--without", metavar="FEATURE", action="append", default=[], help="leave a feature out; repeatable")
    new.add_argument("--directory", metavar="DIR", type=Path, help="the directory to create (default: NAME)")
    new.add_argument("--no-git", action="store_true", help="do not initialise a git repository")
    _command(commands, "features", _features, "list what a new service can do without")

    dev = _command(commands, "dev", _dev, "migrate, then run server and worker with reload")
    dev.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    dev.add_argument("--port", type=_port, default=8000, help="0 takes a free one (default: %(default)s)")
    dev.add_argument("--no-reload", action="store_true", help="do not restart when a file changes")
    dev.add_argument("--no-worker", action="store_true", help="run the server alone")
    dev.add_argument("--grace", type=_seconds, default=10, help="seconds that each has to end (default: %(default)s)")

    migrate = _command(commands, "migrate", _migrate, "bring the schema of the service in this directory up to date")
    way = migrate.add_mutually_exclusive_group()
    way.add_argument(
        "--check", action="store_true", help="change nothing; exit 1 when it is behind, or has drifted from the code"
    )
    way.add_argument("--sql", action="store_true", help="print the statements instead, for review or for a lint")
    migrate.add_argument("--dialect", choices=("postgresql", "sqlite"), help="whose SQL (default: the service's database's)")

    doctor = _command(commands, "doctor", _doctor, "look at what the service in this directory runs on")
    doctor.add_argument("subject", choices=("database",), help="database: whether all pools fit its connection limit")

    _jobs_parser(commands)

    token = _command(commands, "token", _token, "print a development token for the service in this directory")
    token.add_argument("--subject", default="developer", help="whom it names (default: %(default)s)")
    token.add_argument("--tenant", default="development", help="the tenant (default: %(default)s)")
    token.add_argument("--scope", metavar="SCOPE", action="append", default=[], help="what it permits; repeatable")
    token.add_argument("--lifetime", type=_seconds, default=3600, help="seconds (default: %(default)s)")

    preflight = _command(commands, "preflight", _preflight, "settle the facts that the other commands build on")
    mode = preflight.add_mutually_exclusive_group()
    mode.add_argument("--defaults", action="store_true", help="ask nothing: take what was detected, else the default")
    mode.add_argument("--check", action="store_true", help="write nothing; exit 1 when a fact is missing or contradicted")
    preflight.add_argument("--project", metavar="DIR", type=Path, default=Path(), help="the project (default: this directory)")

    check = _command(commands, "check", check_arguments.run, "find what would break in production, in any FastAPI project")
    check_arguments.declare(check)

    explain = _command(commands, "explain", _explain, "print what a rule finds, why it hurts and what to do")
    explain.add_argument("rule", metavar="RULE", nargs="?", help="family/name")
    explain.add_argument("--all", action="store_true", help="list the rules")

    drawn = _command(commands, "map", map_command.run, "draw what a service's endpoints pass through and reach")
    map_command.declare(drawn)

    _contract_parser(commands)

    demo = _command(commands, "demo", _demo, "generate a service, run it, and show it working")
    demo.add_argument("--exit", action="store_true", help="end when every step was verified")
    return parser


def _command(commands: argparse._SubParsersAction[_Parser], name: str, run: object, summary: str) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False)
    parser.set_defaults(run=run)
    return parser


def _jobs_parser(commands: argparse._SubParsersAction[_Parser]) -> None:
    worker = _command(commands, "worker", _worker, "run the jobs of the service in this directory")
    worker.add_argument("target", metavar="MODULE:ATTRIBUTE", nargs="?", help=_TARGET)
    worker.add_argument("--host", default="127.0.0.1", help="address for probes and metrics (default: %(default)s)")
    worker.add_argument("--port", type=_port, default=8001, help="0 takes a free one (default: %(default)s)")

    summary = "look at the jobs of the service in this directory, retry and cancel them"
    jobs = commands.add_parser("jobs", help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False)
    actions = jobs.add_subparsers(title="commands", metavar="COMMAND", required=True)
    states = ("queued", "running", "succeeded", "failed", "cancelled")

    find = _command(actions, "list", _jobs_list, "list jobs, the newest first")
    find.add_argument("--state", choices=states, help="only these; failed ones are the dead letters")
    find.add_argument("--queue", help="only of this queue")
    find.add_argument("--task", help="only of this task")
    find.add_argument("--limit", type=_seconds, default=50, help="how many (default: %(default)s)")
    find.add_argument("--before", metavar="ID", type=int, help="those with a lower id: the next page")
    show = _command(actions, "show", _jobs_show, "print everything about a job")
    show.add_argument("id", metavar="ID", type=int)
    for command in (find, show):
        command.add_argument("--json", action="store_true", help="print JSON")
    retry = _command(actions, "retry", _jobs_retry, "queue failed or cancelled jobs again")
    cancel = _command(actions, "cancel", _jobs_cancel, "end jobs that wait, and ask those that run to end")
    for command in (retry, cancel):
        command.add_argument("id", metavar="ID", type=int, nargs="+")
    for command in (find, show, retry, cancel):
        command.add_argument("--worker", metavar="MODULE:ATTRIBUTE", help=_TARGET)


def _contract_parser(commands: argparse._SubParsersAction[_Parser]) -> None:
    summary = "keep a snapshot of the API, and find changes that break its clients"
    contract = commands.add_parser(
        "contract", help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
    )
    actions = contract.add_subparsers(title="commands", metavar="COMMAND", required=True)
    formats = ("text", "json", "markdown", "github", "html")
    documents = "a file, git:REV (the snapshot there), git:REV:PATH, or a URL"

    snapshot = _command(actions, "snapshot", _contract_snapshot, "write the app's OpenAPI document to the snapshot")
    check = _command(actions, "check", _contract_check, "compare the app with its snapshot; exit 1 when clients break")
    diff = _command(actions, "diff", _contract_diff, "compare two documents; exit 1 when clients break")
    changelog = _command(actions, "changelog", _contract_changelog, "print what changed, for the people who use the API")
    snapshot.add_argument("--check", action="store_true", help="write nothing; exit 1 when the snapshot is not up to date")
    diff.add_argument("old", metavar="OLD", help=documents)
    diff.add_argument("new", metavar="NEW", help=documents)
    diff.add_argument("--allow-remote", action="store_true", help="follow references to other files and URLs")
    changelog.add_argument("old", metavar="OLD", help=documents)
    changelog.add_argument("new", metavar="NEW", nargs="?", help="the same (default: the app)")
    for command in (snapshot, check, changelog):
        command.add_argument(
            "--app", metavar="MODULE:ATTRIBUTE", help="the app (default: [tool.fastness] app, else app.main:app)"
        )
        command.add_argument("--python", metavar="FILE", help="its interpreter (default: .venv of the project, else this one)")
    for command in (check, diff):
        command.add_argument("--format", choices=formats, default="text", help="default: %(default)s")
    for command in (snapshot, check, diff, changelog):
        command.add_argument(
            "--project", metavar="DIR", type=Path, default=Path(), help="the project (default: this directory)"
        )


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{text} is not a port: 0 to 65535")
    return port


def _seconds(text: str) -> int:
    seconds = int(text)
    if seconds < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of seconds")
    return seconds


def _new(arguments: argparse.Namespace) -> int:
    from fastness.tool import scaffold

    created = scaffold.create(
        arguments.name,
        target=arguments.directory,
        without=arguments.without,
        bare=arguments.bare,
        git=not arguments.no_git,
    )
    print(scaffold.describe(created))
    return OK


def _features(_arguments: argparse.Namespace) -> int:
    from fastness.tool import scaffold

    for feature in scaffold.available():
        print(f"{feature.name:<12} {feature.summary}")
    return OK


def _dev(arguments: argparse.Namespace) -> int:
    from fastness.tool import dev

    return dev.run(
        host=arguments.host,
        port=arguments.port,
        reload=not arguments.no_reload,
        worker=not arguments.no_worker,
        grace=arguments.grace,
    )


def _migrate(arguments: argparse.Namespace) -> int:
    from fastness.tool import migrate

    return migrate.run(Path.cwd(), check=arguments.check, sql=arguments.sql, dialect=arguments.dialect)


def _doctor(_arguments: argparse.Namespace) -> int:
    from fastness.tool import doctor

    return doctor.database(Path.cwd())


def _worker(arguments: argparse.Namespace) -> int:
    from fastness.tool.jobs import worker

    return worker.run(arguments.target, host=arguments.host, port=arguments.port)


def _jobs_list(arguments: argparse.Namespace) -> int:
    from fastness.tool import jobs

    return jobs.show_many(
        arguments.worker,
        state=arguments.state,
        queue=arguments.queue,
        task=arguments.task,
        limit=arguments.limit,
        before=arguments.before,
        as_json=arguments.json,
    )


def _jobs_show(arguments: argparse.Namespace) -> int:
    from fastness.tool import jobs

    return jobs.show(arguments.worker, arguments.id, as_json=arguments.json)


def _jobs_retry(arguments: argparse.Namespace) -> int:
    from fastness.tool import jobs

    return jobs.retry(arguments.worker, arguments.id)


def _jobs_cancel(arguments: argparse.Namespace) -> int:
    from fastness.tool import jobs

    return jobs.cancel(arguments.worker, arguments.id)


def _token(arguments: argparse.Namespace) -> int:
    from fastness.tool.dev import token

    print(
        token.issue(
            Path.cwd(),
            subject=arguments.subject,
            tenant=arguments.tenant,
            scopes=arguments.scope,
            lifetime=arguments.lifetime,
        )
    )
    return OK


def _preflight(arguments: argparse.Namespace) -> int:
    from fastness.tool import preflight

    return preflight.run(arguments.project, defaults=arguments.defaults, check=arguments.check)


def _explain(arguments: argparse.Namespace) -> int:
    from fastness.tool.check import run

    return run.names() if arguments.all or not arguments.rule else run.explain(arguments.rule)


def _contract_snapshot(arguments: argparse.Namespace) -> int:
    from fastness.tool import contract

    return contract.take_snapshot(arguments.project, target=arguments.app, python=arguments.python, only_look=arguments.check)


def _contract_check(arguments: argparse.Namespace) -> int:
    from fastness.tool import contract

    return contract.check(arguments.project, target=arguments.app, python=arguments.python, form=arguments.format)


def _contract_diff(arguments: argparse.Namespace) -> int:
    from fastness.tool import contract

    return contract.diff(
        arguments.project, arguments.old, arguments.new, form=arguments.format, allow_remote=arguments.allow_remote
    )


def _contract_changelog(arguments: argparse.Namespace) -> int:
    from fastness.tool import contract

    return contract.changelog(arguments.project, arguments.old, arguments.new, target=arguments.app, python=arguments.python)


def _demo(arguments: argparse.Namespace) -> int:
    from fastness.tool import demo

    return demo.run(stay=not arguments.exit)
