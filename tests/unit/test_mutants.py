"""What the mutation run puts in the place of a function does something else, and nothing else."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from bench.mutants import Module

SOURCE = """
class Base:
    def name(self) -> str:
        return "base"

class Derived(Base):
    def name(self) -> str:
        return super().name() + "!"

    async def wait(self, most: int) -> int:
        if most > 1:
            raise ValueError(most)
        return most
"""


def changes(module: Module, *, operators: bool = False) -> list[str]:
    make = module.operators if operators else module.removals
    return [mutant.change for function in module.functions for mutant in make(function)]


@pytest.mark.parametrize(
    ("source", "removals"),
    [
        ("def f(x: str) -> str: return x.lower()", ["return ''", "return x"]),
        ("def f(x: int) -> bool: return x > 1", ["return True", "return False"]),
        ("def f() -> int | None: return g()", ["return 0", "return None"]),
        ("def f() -> None: g()", ["return None"]),
        ("async def f() -> dict[str, int]: return await g()", ["return {}"]),
        ("def f():\n    yield from g()", ["return"]),
        ("@contextmanager\ndef f():\n    with g():\n        yield", ["yield\nreturn"]),
        ("async def f(self, scope, receive, send):\n    g()\n    await self.app(scope, receive, send)",
         ["return await self.app(scope, receive, send)"]),
        ("def f(x):\n    if x:\n        raise KeyError(x)\n    return 1", ["return None", "line 3: no raise KeyError(x)"]),
        ("def f(x):\n    if x:\n        return 1\n    raise AssertionError", ["return None"]),
        ("def f() -> bool: return True", ["return False"]),
        ("def f() -> None:\n    '''Declares.'''", []),
        ("@overload\ndef f(x: int) -> int: return 1", []),
        ("class A:\n    def __init__(self, x):\n        if not x:\n            raise ValueError\n        self.x = x",
         ["line 4: no raise ValueError"]),
    ],
)  # fmt: skip
def test_behaviour_is_removed_as_a_caller_would_not_notice(tmp_path: Path, source: str, removals: list[str]) -> None:
    """By what the annotation promises; a refusal is left out; what does nothing, or would be as before, is no mutant."""
    file = tmp_path / "module.py"
    file.write_text(source)
    assert changes(Module(file)) == removals


def test_operators_are_the_nearest_others(tmp_path: Path) -> None:
    """Each of them, and one at a time."""
    file = tmp_path / "module.py"
    file.write_text("def f(x, y): return 0 <= x < 9 and not y or max(x, y) + 2 in x")
    assert [change.removeprefix("line 1: ") for change in changes(Module(file), operators=True)] == [
        "0 <= x < 9 and (not y) or max(x, y) + 2 in x -> (0 <= x < 9 and (not y)) and max(x, y) + 2 in x",
        "0 <= x < 9 and (not y) -> 0 <= x < 9 or not y",
        "0 <= x < 9 -> 0 < x < 9",
        "0 <= x < 9 -> 0 > x < 9",
        "0 <= x < 9 -> 0 <= x <= 9",
        "0 <= x < 9 -> 0 <= x >= 9",
        "0 -> 1",
        "0 -> -1",
        "9 -> 10",
        "9 -> 8",
        "not y -> y",
        "max(x, y) + 2 in x -> max(x, y) + 2 not in x",
        "max(x, y) + 2 -> max(x, y) - 2",
        "max(x, y) -> min(x, y)",
        "2 -> 3",
        "2 -> 1",
    ]


def test_a_mutant_takes_the_place_of_one_function(tmp_path: Path) -> None:
    """In a method with a closure and in a coroutine; the module is as it was for the next mutant."""
    file = tmp_path / "module.py"
    file.write_text(SOURCE)
    found: dict[str, Any] = {}
    exec(compile(SOURCE, str(file), "exec"), found)
    derived = found["Derived"]()

    def results() -> tuple[str, int | None]:
        try:
            return derived.name(), asyncio.run(derived.wait(2))
        except ValueError:
            return derived.name(), None

    module, seen = Module(file), {}
    for function in module.functions:
        kind, name = function.qualname.split(".")
        live = vars(found[kind])[name]
        original = live.__code__
        for mutant in module.removals(function):
            live.__code__ = mutant.code()
            seen[f"{function.qualname}: {mutant.change}"] = results()
        live.__code__ = original
    assert seen == {
        "Base.name: return ''": ("!", None),
        "Derived.name: return ''": ("", None),
        "Derived.wait: return 0": ("base!", 0),
        "Derived.wait: return most": ("base!", 2),
        "Derived.wait: line 12: no raise ValueError(most)": ("base!", 2),
    }
    assert results() == ("base!", None)
