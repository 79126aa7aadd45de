"""f-strings whose grammar is newer than the interpreter."""

import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastness.tool.project.source import fstrings, newer

_OLD = [
    "f'{a!r:>{width}} {b != c} {d=} {e:%H:%M}'",
    'f"{{not a field}} {a[1:2]} {(lambda: b)()}"',
    'rf"\\d{a}" f"\\N{EM DASH}{b}" f"\\{a}"',
    "f'''{\n    a\n}''' \"it's\" # f\"{\"",
    'if"x" in b"y" or r"\\\\" == u"z": f"{a}"',
    '"\\"" f"{a}"',
]


@pytest.mark.parametrize("source", _OLD)
def test_what_can_be_read_stays(source: str) -> None:
    """An f-string that every version reads is not touched, whatever stands around it."""
    assert fstrings.convert(source) == source


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ('f"{a["k"]} {b!r} {c:{d["w"]}}"', {"a", "b", "c", "d"}),
        ('f"{f"{f"{a}"}"}"', {"a"}),
        ("f'{'\\n'.join(a)}'", {"a"}),
        ("f'{a  # it\\'s\n}'".replace("\\'", "'"), {"a"}),
        ('f"{a == "}" or b}"', {"a", "b"}),
        ('f"{dict(k="{")[a]=}"', {"a", "dict"}),
    ],
)
def test_what_is_evaluated_is_kept(source: str, names: set[str]) -> None:
    """Its names are in the older form, and it ends on its line."""
    older = fstrings.convert(f"x = {source}\ny = 1\n")
    tree = ast.parse(older)
    assert {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - {"str"} == {"x", "y", *names}
    assert tree.body[-1].lineno == source.count("\n") + 2


@pytest.mark.parametrize("source", ['f"{a', 'f"{a}', "'", 'f"{a:', "f'\n'", 'f"{a #'])
def test_what_does_not_end_is_refused(source: str) -> None:
    """A string or field that is open at the end is no Python."""
    with pytest.raises(SyntaxError):
        fstrings.convert(source)


_NAMES = st.sampled_from(["a", "b", "c"])
_EXPRESSIONS = st.recursive(
    _NAMES,
    lambda inner: st.one_of(
        st.builds("{}[{}]".format, _NAMES, st.sampled_from(["'k'", '"k"', "'}'", '"{"', "1:2"])),
        st.builds('f"{{{}}}"'.format, inner),
        st.builds("f'x{{{}!r:>{{{}}}}}'".format, inner, _NAMES),
        st.builds("call({}, {})".format, inner, inner),
    ),
    max_leaves=6,
)


@given(expression=_EXPRESSIONS)
def test_every_nesting_is_read(expression: str) -> None:
    """However f-strings nest and share their quotes, what they evaluate is found."""
    source = f'x = f"{{{expression}}}"\n'
    named = {node.id for node in ast.walk(ast.parse(newer.rewrite(source))) if isinstance(node, ast.Name)}
    assert named - {"x", "str"} == set(re.findall(r"\b(?:a|b|c|call)\b", expression))
