"""Secrets that a call falls back to when a variable is missing: `os.environ.get("JWT_SECRET", "secret")`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.credentials.secrets import is_literal_secret, names_secret, signs
from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function, constant
from fastness.tool.project.source.walk import walk

_READS = re.compile(r"^(?:get|config)$|env", re.IGNORECASE)


def read(service: Service, module: Module) -> Iterator[tuple[CallSite, str, str]]:
    """The calls of a file that have such a default, inside of functions and wherever else the value gets no name of a secret.

    Returns:
        each with the variable, and what is there for it.
    """
    for name in filter(_READS.search, module.calls_by_name.names):
        for site in module.calls_by_name.get(name, ()):
            variable = constant(next(iter(site.node.args), None))
            if not isinstance(variable, str) or not names_secret(variable) or module.only_as_script(site.node):
                continue
            default = constant(literals.default(service.resolver, site.node, site.scope))
            if isinstance(default, str) and is_literal_secret(default) and not _is_named(site):
                yield site, variable, default


def _is_named(site: CallSite) -> bool:
    """A name of the module or class holds the value, and says of it what it is."""
    if isinstance(site.scope, Function):
        return False
    named = (bindings for name, bindings in site.scope.bindings.items() if names_secret(name) or signs(name))
    values = (binding.value for bindings in named for binding in bindings if binding.value is not None)
    return any(node is site.node for value in values for node in walk(value))
