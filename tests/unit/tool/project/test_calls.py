"""Which calls a function reaches: through what it is given, and not through branches that a call does not take."""

import pytest

from fastness.tool.check.examples import files, project
from fastness.tool.check.rule import Good
from fastness.tool.project import Service

_FUNCTIONS = """
import asyncio
import time
from contextlib import contextmanager
from functools import partial, wraps

def sleep():
    time.sleep(1)

async def sleeps():
    time.sleep(1)

def retried(function, *given, times=1):
    return function(*given)

async def awaited(function):
    if asyncio.iscoroutinefunction(function):
        return await function()
    return await asyncio.to_thread(function)

async def in_pool(function, *given):
    return await asyncio.get_running_loop().run_in_executor(None, partial(function, *given))

def kept(function):
    return lambda: function()

def replaced(function):
    function = print
    function()

class Runner:
    def run(self, function):
        return function()

@contextmanager
def opened(mode, path=None, *, wait=False):
    if mode == "write":
        sleep()
    elif mode in ("read", "both"):
        yield
    if not path:
        return
    for one in path or []:
        sleep()

def loud(path=None):
    with opened("read"):
        if path is not None:
            raise ValueError
        return path and sleep()

def early(path):
    if path is None:
        return None
    try:
        return path
    finally:
        sleep()

def chosen(fast=True):
    while not fast:
        sleep()
    return None if fast else sleep()

def given(function):
    @wraps(function)
    def wrapper():
        return function(path="a")
    return wrapper

@given
def decorated(path=None):
    if path:
        sleep()

def changed(path=None):
    path = path or "a"
    if path:
        sleep()

class Base:
    def run(self, mode="fast"):
        if mode == "slow":
            sleep()

def handed_on(**more):
    return loud(**more)

alone = partial(chosen, fast=False)

async def entry():
    """


def _reaches(call: str) -> bool:
    service = Service(project(files(Good(_FUNCTIONS + call))))
    functions = {f.name: f for module in service.project.readable for f in module.functions}
    found = service.graph.nearest([functions["entry"]], lambda out: "sleep" if out.target.path == "time.sleep" else None)
    return functions["entry"] in found


@pytest.mark.parametrize(
    ("call", "reached"),
    [
        ("retried(sleep)", True),
        ("retried(time.sleep, 1)", True),
        ("retried(function=partial(sleep))", True),
        ("Runner().run(sleep)", True),
        ("retried(print, times=sleep)", False),
        ("await awaited(sleeps)", True),
        ("await awaited(sleep)", False),
        ("await in_pool(sleep)", False),
        ("kept(sleep)", False),
        ("replaced(sleep)", False),
    ],
)
def test_a_function_runs_what_it_is_given(call: str, reached: bool) -> None:
    """The loop runs what a wrapper calls, and not what it keeps, awaits in a thread or has a thread do."""
    assert _reaches(call) is reached


@pytest.mark.parametrize(
    ("call", "reached"),
    [
        ('opened("write")', True),
        ('opened("read")', False),
        ('opened("none")', False),
        ('opened("read", "a")', True),
        ("opened(mode='read', path=name)", True),
        ("opened(*given)", True),
        ("loud()", False),
        ('loud("a")', False),  # it raises
        ("loud(name)", True),
        ("handed_on(path=name)", True),
        ("early(None)", False),
        ("early(1)", True),
        ("chosen()", False),
        ("chosen(fast=False)", True),
        ("alone()", True),
        ("decorated()", True),
        ("changed()", True),
        ('Base().run("slow")', True),
        ('Base().run("fast")', False),
        ("Base().run()", False),
        ('Base.run(Base(), "slow")', True),
    ],
)
def test_a_branch_is_taken_that_the_literals_of_a_call_take(call: str, reached: bool) -> None:
    """A literal, or a default that is one, decides the branches that ask the parameter; what is not known decides none."""
    assert _reaches(call) is reached


def test_a_thread_runs_what_its_wrapper_is_given() -> None:
    """It is among what the threads of the caller do, with what the wrapper hands on."""
    service = Service(project(files(Good(_FUNCTIONS + "await in_pool(time.sleep, 1); await in_pool(sleep)"))))
    entry = next(f for module in service.project.readable for f in module.functions if f.name == "entry")
    edges, outward = service.graph.in_threads(entry)
    assert [edge.target.name for edge in edges] == ["sleep"]
    assert [(call.target.path, len(call.site.node.args)) for call in outward] == [("time.sleep", 1)]
