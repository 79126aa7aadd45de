"""Whether a test fails when a function of the request path does nothing any more: `scripts/bench mutation`.

mutmut 3 changes operators and has no removal of a whole function, and cosmic-ray starts a new interpreter for each mutant and
brings aiohttp, SQLAlchemy and GitPython; so this is our own, on pytest. The tests are collected once. One process runs each of
them and notes which functions it reaches; then each mutant gets a fork of the collected session, where the function's code is
exchanged in memory and the tests that reach it run, the shortest first, until one fails. No file is touched, and what tests
start as a process of its own runs unchanged: a behaviour that only such a test sees counts as not tested.
"""

from __future__ import annotations

import builtins
import gc
import importlib
import os
import pickle
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout, suppress
from functools import partial
from itertools import zip_longest
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import hypothesis
import pytest

from bench.mutants import Function, Module, Mutant

_ROOT = Path(__file__).parent.parent
_PACKAGE = _ROOT / "src" / "fastness"
# Development tools, and what no request passes.
_ELSEWHERE = ("tool", "testing", "jobs", "database")
_TESTS = ("tests/unit", "tests/integration")
# Tests that look at files, and at processes of their own.
_OF_FILES = ("test_architecture.py", "test_base_install.py", "test_docs.py", "test_readme.py")
# Where a slip of one operator lets somebody in, or keeps somebody out.
_CRITICAL = (
    "auth/_jose", "auth/api_keys", "auth/guards", "auth/jwt", "context", "idempotency/fingerprint", "idempotency/key",
    "outbound/_addresses", "outbound/guard", "ratelimit/limit", "ratelimit/limiter", "ratelimit/store", "security/middleware",
    "security/policy", "telemetry/redaction",
)  # fmt: skip
_SEED = 2
# Seconds: of a test on what is not changed; on a mutant, beside five times what it took; and of all tests of one mutant.
_TEST_LIMIT = 30
_LEAST_LIMIT = 3
_MUTANT_LIMIT = 900
# In how many parts the tests are run for the first time.
_CHUNKS = 8
# Exit codes of a fork.
_NOTICED, _BROKEN = 1, 3


class ArgumentError(Exception):
    """What is asked for cannot be measured."""


def measure(
    *,
    operators: bool = False,
    only: Iterable[str] = (),
    changed: str | None = None,
    sample: int | None = None,
    workers: int = 2,
) -> dict[str, Any]:
    """Make the mutants, run the tests that concern each, and count.

    Args:
        operators: change operators in the security-critical modules, instead of removing behaviour on the whole path.
        only: parts of names; functions that have none of them are left out.
        changed: a revision; only functions that have changed since.
        sample: of how many mutants, chosen by a fixed seed; None for all.
        workers: processes at a time.

    Returns:
        The number of functions and mutants, and the mutants that every test survived, with how many tests saw each.

    Raises:
        ArgumentError: there is no such function or revision, or `sample` is not a number of mutants.
    """
    if sample is not None and sample < 1:
        raise ArgumentError(f"a sample of {sample} mutants says nothing: give at least 1")
    parts = tuple(only)
    mutants = list(_mutants(operators=operators, only=parts, changed=changed))
    if changed is None:
        for part in parts or ("",):
            if not any(part in mutant.function.name for mutant in mutants):
                kind = "function of a security-critical module" if operators else "public function of the request path"
                raise ArgumentError(f"no {kind} has {part!r} in its name")
    if sample is not None and sample < len(mutants):
        mutants = sorted(random.Random(_SEED).sample(mutants, sample), key=lambda mutant: mutant.function.name)
    run = _Run(mutants, workers)
    files = [str(file) for kind in _TESTS for file in _tests(kind, mutants)]
    with tempfile.TemporaryDirectory() as scratch:
        options = ["-pno:randomly", "-pno:xdist", "-pno:cacheprovider", "--assert=plain", "--capture=no", "--tb=no", "-qq"]
        options += [f"--timeout={_TEST_LIMIT}", f"--basetemp={scratch}/tests"]
        # What pytest says is no figure.
        with redirect_stdout(sys.stderr):
            code = pytest.main([*options, *files], plugins=[run]) if mutants else 0
    if code:
        raise RuntimeError(f"pytest ended with {code!r}; what it says is above")
    return {
        "functions": len({mutant.function for mutant in mutants}),
        "mutants": len(mutants),
        "survived": [
            f"{mutant.function.name}: {mutant.change} ({run.tests[mutant.function]} tests)" for mutant in run.survived
        ],
        "not_used": run.not_used,
    }


def failures(figures: dict[str, Any]) -> list[str]:
    """What must not be: every removal has to be noticed."""
    return [f"no test fails without it: {mutant}" for mutant in figures["survived"]]


def _mutants(*, operators: bool, only: tuple[str, ...], changed: str | None) -> Iterator[Mutant]:
    lines = None if changed is None else _changed_lines(changed)
    for file in sorted(_PACKAGE.rglob("*.py")):
        path = file.relative_to(_PACKAGE)
        if path.parts[0] in _ELSEWHERE or (operators and str(path.with_suffix("")) not in _CRITICAL):
            continue
        module = Module(file)
        for function in module.functions:
            if only and not any(part in function.name for part in only):
                continue
            if lines is not None and not lines[file].intersection(range(function.first, function.last + 1)):
                continue
            if operators:
                yield from module.operators(function)
            elif _is_public(function):
                yield from module.removals(function)


def _is_public(function: Function) -> bool:
    name = function.qualname.rpartition(".")[2]
    return not name.startswith("_") or name.endswith("__")


def _changed_lines(revision: str) -> dict[Path, set[int]]:
    # Whatever the configuration of whoever runs it says of prefixes, colours and tools.
    options = ["--unified=0", "--no-color", "--no-ext-diff", "--src-prefix=a/", "--dst-prefix=b/"]
    diff = subprocess.run(
        ["git", "diff", *options, "--end-of-options", revision, "--", str(_PACKAGE)],
        cwd=_ROOT, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if diff.returncode:
        raise ArgumentError(f"git has no changes since {revision!r}: {diff.stderr.strip().partition(chr(10))[0]}")
    lines: dict[Path, set[int]] = defaultdict(set)
    file = _ROOT
    for line in diff.stdout.splitlines():
        if line.startswith("+++ "):
            file = _ROOT / line.removeprefix("+++ b/")
        elif match := re.match(r"@@ \S+ \+(\d+)(?:,(\d+))? @@", line):
            first = int(match[1])
            # Nothing but deletions leaves its place: the line before.
            lines[file].update(range(first, first + max(1, int(match[2] or 1))))
    return lines


class _Run:
    """A pytest plugin that runs the tests in its own way.

    Attributes:
        survived: the mutants that no test has noticed.
        tests: how many were run on each of them.
        not_used: tests that fail, or are too slow, on what is not changed.
    """

    def __init__(self, mutants: list[Mutant], workers: int) -> None:
        self.survived: list[Mutant] = []
        self.tests: Counter[Function] = Counter()
        self.not_used: list[str] = []
        self._mutants = mutants
        self._workers = workers
        self._live: dict[tuple[str, str, int], list[FunctionType]] = defaultdict(list)
        self._failed = False

    def pytest_collection(self) -> None:
        """Whether an example fails is all that there is to know of it."""
        phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
        hypothesis.settings.register_profile("mutation", hypothesis.settings.get_profile("ci"), phases=phases)
        hypothesis.settings.load_profile("mutation")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure."""
        self._failed = self._failed or report.failed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Find what each test reaches, then try each mutant on the tests that reach it."""
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]  # the forks share it
        for file in {mutant.function.file for mutant in self._mutants}:
            # Some are imported when they are first needed, which would be too late.
            importlib.import_module(".".join(file.relative_to(_PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"))
        for each in gc.get_objects():
            if isinstance(each, FunctionType) and each.__code__.co_filename.startswith(str(_PACKAGE)):
                self._live[_place_of(each)].append(each)
        if lost := {mutant.function.name for mutant in self._mutants if _place(mutant.function) not in self._live}:
            raise RuntimeError(f"nothing can be exchanged, since it is not where it was defined: {', '.join(sorted(lost))}")
        left = list(self._mutants)
        for kind in _TESTS:
            files = set(_tests(kind, left))
            items = [item for item in session.items if item.path in files]
            reaching = self._reaching(items, left)
            left = self._unnoticed(left, reaching)
            for mutant in left:
                self.tests[mutant.function] += len(reaching[mutant.function])
        self.survived = left
        return True

    def _unnoticed(self, mutants: list[Mutant], reaching: Mapping[Function, list[pytest.Item]]) -> list[Mutant]:
        gc.collect()
        gc.freeze()
        tries = {
            number: partial(self._try, mutant, reaching[mutant.function])
            for number, mutant in enumerate(mutants)
            if reaching[mutant.function]
        }
        # Something that breaks the tests themselves would look like a great success.
        control = partial(self._run, list(dict.fromkeys(reaching[mutants[number].function][0] for number in tries)))
        if not tries:
            return mutants
        tries = {-1: control, **tries, len(mutants): control}
        noticed = set()
        for done, (number, status) in enumerate(_in_forks(tries, self._workers, _MUTANT_LIMIT), start=1):
            if status not in (0, _NOTICED, -signal.SIGKILL):
                raise RuntimeError(f"mutant {number} of {len(mutants)}: the fork ended with {status}")
            if status:
                noticed.add(number)
            if sys.stderr.isatty():
                print(f"\r{done} of {len(tries)} runs", end="\n" * (done == len(tries)), file=sys.stderr, flush=True)
        if noticed.intersection((-1, len(mutants))):
            raise RuntimeError(
                "tests failed that had passed before, though nothing was changed; nothing can be said of mutants"
            )
        return [mutant for number, mutant in enumerate(mutants) if number not in noticed]

    def _reaching(self, items: list[pytest.Item], mutants: list[Mutant]) -> dict[Function, list[pytest.Item]]:
        """The tests that call each function, the shortest first."""
        functions = list(dict.fromkeys(mutant.function for mutant in mutants))
        calls = {function: f"_reached({number})" for number, function in enumerate(functions)}
        probes: dict[Function, CodeType] = {}
        for module in {mutant.module for mutant in mutants}:
            probes |= module.probes({function: call for function, call in calls.items() if function.file == module.file})
        chunks = [items[start::_CHUNKS] for start in range(min(_CHUNKS, len(items)))]
        with tempfile.TemporaryDirectory() as scratch:
            tasks = {
                number: partial(self._trace, chunk, probes, Path(scratch, str(number))) for number, chunk in enumerate(chunks)
            }
            for number, status in _in_forks(tasks, self._workers, float("inf")):
                if status:
                    raise RuntimeError(f"the fork that runs {chunks[number][0].nodeid} and others ended with {status}")
            traces = [trace for file in Path(scratch).iterdir() for trace in pickle.loads(file.read_bytes())]
        by_name = {item.nodeid: item for item in items}
        reaching: dict[Function, list[pytest.Item]] = {function: [] for function in functions}
        for seconds, name, passed, reached in sorted(traces):
            # Whoever waits for what a mutant no longer does need not wait as long as a slow test takes.
            by_name[name].add_marker(pytest.mark.timeout(_LEAST_LIMIT + 5 * seconds))
            if not passed:
                self.not_used.append(name)
                continue
            for number in reached:
                reaching[functions[number]].append(by_name[name])
        return reaching

    def _trace(self, items: list[pytest.Item], probes: dict[Function, CodeType], result: Path) -> None:
        reached: set[int] = set()
        builtins._reached = reached.add  # type: ignore[attr-defined]  # where every module finds it
        for function, code in probes.items():
            self._exchange(function, code)
        traces: list[tuple[float, str, bool, list[int]]] = []
        for item, following in _with_next(items):
            reached.clear()
            started = time.perf_counter()
            passed = self._passes(item, following)
            traces.append((time.perf_counter() - started, item.nodeid, passed, sorted(reached)))
        result.write_bytes(pickle.dumps(traces))

    def _try(self, mutant: Mutant, items: list[pytest.Item]) -> None:
        self._exchange(mutant.function, mutant.code())
        self._run(items)

    def _run(self, items: Iterable[pytest.Item]) -> None:
        for item, following in _with_next(items):
            if not self._passes(item, following):
                with suppress(Exception):  # of a fixture, on what is broken
                    item.session._setupstate.teardown_exact(None)
                os._exit(_NOTICED)

    def _exchange(self, function: Function, code: CodeType) -> None:
        for live in self._live[_place(function)]:
            live.__code__ = code

    def _passes(self, item: pytest.Item, following: pytest.Item | None) -> bool:
        self._failed = False
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        return not self._failed


def _with_next(items: Iterable[pytest.Item]) -> Iterator[tuple[pytest.Item, pytest.Item | None]]:
    """Each with the one after it, for which fixtures are kept."""
    every = list(items)
    return zip_longest(every, every[1:])


def _tests(kind: str, mutants: list[Mutant]) -> Iterator[Path]:
    """The files of tests that name one of the packages which the mutants are in."""
    packages = {mutant.function.file.relative_to(_PACKAGE).parts[0] for mutant in mutants}
    names = {name.removesuffix(".py").strip("_") for name in packages}
    for file in sorted((_ROOT / kind).rglob("test_*.py")):
        within = file.relative_to(_ROOT / kind).parts[0]
        if within not in (*_ELSEWHERE, *_OF_FILES) and names.intersection(re.findall(r"[a-z]+", file.read_text())):
            yield file


def _place(function: Function) -> tuple[str, str, int]:
    return str(function.file), function.qualname, function.first


def _place_of(function: FunctionType) -> tuple[str, str, int]:
    code = function.__code__
    return code.co_filename, code.co_qualname, code.co_firstlineno


def _in_forks(tasks: Mapping[int, Callable[[], None]], workers: int, limit: float) -> Iterator[tuple[int, int]]:
    """Run each task in a fork of this process, and give its number and exit code as it ends: 0 when it returned."""
    waiting = list(tasks.items())
    running: dict[int, tuple[int, float]] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            number, task = waiting.pop(0)
            running[_fork(task)] = number, time.monotonic() + limit
        time.sleep(0.002)
        for process, (number, until) in list(running.items()):
            if time.monotonic() > until:
                os.kill(process, signal.SIGKILL)
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                del running[process]
                yield number, os.waitstatus_to_exitcode(status)


def _fork(task: Callable[[], None]) -> int:
    process = os.fork()
    if process:
        return process
    status = _BROKEN
    try:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        task()
        status = 0
    finally:
        # Nothing that the parent has registered for its end is the fork's to do.
        os._exit(status)


if __name__ == "__main__":
    from bench.__main__ import main

    sys.exit(main(["mutation", *sys.argv[1:]]))
