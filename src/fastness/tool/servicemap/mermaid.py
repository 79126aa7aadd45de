"""The service map as a Mermaid flowchart, which code forges draw in Markdown: https://mermaid.js.org/syntax/flowchart.html."""

from __future__ import annotations

from typing import TextIO

from fastness.tool.servicemap.graph import Box, common, label, lines, printable
from fastness.tool.servicemap.model import Component, Entry, Resource, ServiceMap

_SHAPES = {"database": ("[(", ")]"), "cache": ("[(", ")]"), "jobs": ("[[", "]]"), "broker": ("[[", "]]")}


def write(drawn: ServiceMap, out: TextIO) -> None:
    """Write the chart."""
    edges = lines(drawn.entries)
    short = common(drawn.entries)
    names: dict[Box, str] = {}
    for entry in drawn.entries:
        names[entry] = f"e{len(names)}"
    for box in dict.fromkeys(box for edge in edges for box in edge):
        names.setdefault(box, f"{'c' if isinstance(box, Component) else 'r'}{len(names)}")
    out.write("flowchart LR\n")
    for number, (group, entries) in enumerate(drawn.groups.items()):
        out.write(f"  subgraph g{number}[{_quoted(group)}]\n")
        out.writelines(f"    {names[entry]}[{_quoted(entry.title)}]\n" for entry in entries)
        out.write("  end\n")
    for box, name in names.items():
        if not isinstance(box, Entry):
            begin, end = _SHAPES.get(box.kind, ("([", "])")) if isinstance(box, Resource) else ("[", "]")
            out.write(f"  {name}{begin}{_quoted(label(box, short=short))}{end}\n")
    out.writelines(f"  {names[begin]} --> {names[end]}\n" for begin, end in edges)


def _quoted(text: str) -> str:
    """A label in which nothing is syntax: characters that are go as Mermaid's entities."""
    escaped = "".join(c if c.isalnum() or c in _PLAIN else f"#{ord(c)};" for c in printable(text))
    return f'"{escaped}"'


_PLAIN = " /-_.:,{}?|()*="
