"""Chains of calls as evidence that a reader can follow."""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.check.rule import module_of
from fastness.tool.findings import Evidence
from fastness.tool.project.flow.calls import Chain
from fastness.tool.project.source.symbols import CallSite


def told(chain: Chain, conclusion: str) -> Iterator[Evidence]:
    """The places of a chain in order: each call on the way, then the call that it ends in."""
    for edge in chain.edges:
        yield called(edge.site, f"calls {edge.target.qualified}")
    last = chain.last
    yield called(last.site, f"calls {last.target.path.replace('()', '')}: {conclusion}")


def called(site: CallSite, text: str) -> Evidence:
    """A call that proves a fault."""
    return Evidence(module_of(site.scope).path, site.line, text)
