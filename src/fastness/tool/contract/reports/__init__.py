"""A result as text, JSON, Markdown, GitHub annotations or HTML: one module each, chosen by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastness.tool.contract.compare import Result
from fastness.tool.contract.reports import github, html, json, markdown, text

FORMATS: Mapping[str, Callable[[Result], str]] = {
    "text": text.render,
    "json": json.render,
    "markdown": markdown.render,
    "github": github.render,
    "html": html.render,
}
"""What writes each format. Every one ends with a newline."""
