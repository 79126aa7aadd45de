"""The rules, one file each. Adding one is adding its file; this package finds them by their place."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from functools import cache
from importlib import import_module

from fastness.tool.check.rule import Rule, read


@cache
def catalogue() -> Mapping[str, Rule]:
    """Every rule by name."""
    rules = {}
    for family in pkgutil.iter_modules(__path__):
        if family.ispkg:
            package = import_module(f"{__name__}.{family.name}")
            for entry in pkgutil.iter_modules(package.__path__):
                rule = read(import_module(f"{package.__name__}.{entry.name}"))
                rules[rule.name] = rule
    return dict(sorted(rules.items()))
