"""Chains of calls as evidence that a reader can follow."""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.check.rule import proof
from fastness.tool.findings import Evidence
from fastness.tool.project.calls import Chain


def told(chain: Chain, conclusion: str) -> Iterator[Evidence]:
    """The places of a chain in order: each call on the way, then the call that it ends in."""
    for edge in chain.edges:
        yield proof(edge.site.scope, edge.site.node, f"calls {edge.target.qualified}")
    last = chain.last
    yield proof(last.site.scope, last.site.node, f"calls {last.target.path.replace('()', '')}: {conclusion}")
