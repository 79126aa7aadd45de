"""The walks give what `ast.walk` gives, but for whether a name is read or written."""

import ast
from collections import Counter
from pathlib import Path

import pytest

import fastness
from fastness.tool.project.source.walk import own, walk

_EVERYTHING = """
import a.b as c
from . import *

def f(x: int, /, y=1, *args: str, z, w=None, **kwargs) -> "T":
    global g
    h = lambda q, *, r=2: q if r else {**x, 1: 2}
    match x:
        case {"k": 1, **rest} | [1, *more] | C(a=1) | None as name if name:
            return [i async for i in x if i] + [*y] + x[1:2, ...]
    try:
        async with a as (b, c), d: pass
    except* (E, F) as e:
        raise e from None
    else:
        del x.y, x[0]
    finally:
        assert f"{x!r:>{y}}", b"y"
    for i, (j, *k) in x: yield (yield from i)
    while (n := x < 1 <= 2): n += ~1; n: int = -n

class C(B, metaclass=M):
    @property
    async def m(self): await self.x(*y, **z)
"""


_TOOL = Path(fastness.__path__[0], "tool")


@pytest.mark.parametrize("source", [_EVERYTHING, *(path.read_text() for path in _TOOL.glob("*.py"))])
def test_every_node_once(source: str) -> None:
    """No node is left out and none comes twice, in every kind of statement and expression."""
    tree = ast.parse(source)
    nodes = Counter(node for node in ast.walk(tree) if not isinstance(node, ast.expr_context))
    assert Counter(walk(tree)) == nodes
    nested = [node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda)]
    inside = {inner for outer in nested for inner in ast.walk(outer) if inner is not outer}
    outside = {node for node in nodes if node not in inside}
    # An operator is one object wherever it stands, inside and outside.
    assert {node for node in own(tree.body) if isinstance(node, ast.stmt | ast.expr)} == {
        node for node in outside if isinstance(node, ast.stmt | ast.expr)
    }
