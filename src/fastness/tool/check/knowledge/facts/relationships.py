"""Relationships of tables: which are loaded when they are read, and which queries load them before."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from fastness.tool.check.knowledge.facts import entities
from fastness.tool.project import Service
from fastness.tool.project.kept.reading import fact, known_once
from fastness.tool.project.source.symbols import Binding, CallSite, Class, Function, argument, constant, last_name, values

_EAGER = {"selectin", "joined", "subquery", "immediate", "raise", "raise_on_sql", "noload", "write_only", "dynamic", False}
_LOADERS = frozenset({
    "selectinload", "joinedload", "subqueryload", "contains_eager", "immediateload", "defaultload", "raiseload", "noload",
})  # fmt: skip
_MADE_BY = ("relationship", "Relationship")
_NAMED = re.compile(r"^[ \t]+(\w+)[ \t]*(?::[^=\n]*)?=\s*\(?\s*(?:\w+\.)*[rR]elationship\(", re.MULTILINE)
_PATHS = {"sqlalchemy.orm.relationship", "sqlmodel.Relationship"}


def of_rows(service: Service, rows: ast.expr, scope: Function) -> Class | None:
    """The table of which an expression is a row, or rows."""
    held = next(iter(entities.held(service, service.resolver.infer(rows, scope))), None)
    return held or entities.queried(service, rows, scope)


def lazy(service: Service, entity: Class, names: Iterable[str]) -> Iterator[tuple[str, Class, Binding]]:
    """Those of these names that are relationships which the table loads when they are read."""
    bases = [base for base in service.resolver.mro(entity) if isinstance(base, Class)]
    for base in bases:
        service.reading.body(base.module)
    for name in names:
        for base in bases:
            for binding in base.bindings.get(name, ()):
                call = binding.value
                if isinstance(call, ast.Call) and service.resolver.paths(call.func, base) & _PATHS and _is_lazy(call):
                    yield name, base, binding


def _is_lazy(call: ast.Call) -> bool:
    given = argument(call, "lazy")
    options = argument(call, "sa_relationship_kwargs")
    if isinstance(options, ast.Dict):
        pairs = zip(options.keys, options.values, strict=True)
        given = next((value for key, value in pairs if constant(key) == "lazy"), given)
    return constant(given) not in _EAGER if isinstance(given, ast.Constant) else given is None


@fact
def named(service: Service) -> str:
    """What relationships of the service's tables are called, one after the other: what else is read is none."""
    texts = (module.text for module in service.project.service if module.mentions(*_MADE_BY))
    return " ".join(sorted({name for text in texts for name in _NAMED.findall(text)}))


def loaded(sites: Iterable[CallSite]) -> set[str]:
    """The relationships that queries of these calls load."""
    names: set[str] = set()
    for site in sites:
        if site.name in _LOADERS:
            names |= {last_name(given) or str(constant(given)) for given in site.node.args}
        elif site.name == "refresh":
            asked = site.argument("attribute_names", 1)
            names |= {str(constant(one)) for one in values(asked)} if asked is not None else set()
    return names


@known_once
def loaded_everywhere(service: Service) -> set[str]:
    """What loaders load that a module or class keeps for its queries."""
    return loaded(site for site in _loading(service) if not isinstance(site.scope, Function))


@known_once
def loaded_somewhere(service: Service) -> set[str]:
    """What any query of the service loads: of rows that others have queried nobody knows with which."""
    return loaded(_loading(service))


def _loading(service: Service) -> Iterator[CallSite]:
    for module in service.project.service:
        for name in _LOADERS:
            yield from module.calls_by_name.get(name, ())


def is_loaded_otherwise(sites: Iterable[CallSite]) -> bool:
    """A query takes its loaders from somewhere: `.options(*loaders)`."""
    return any(not isinstance(given, ast.Call) for site in sites if site.name == "options" for given in site.node.args)
