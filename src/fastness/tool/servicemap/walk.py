"""What running a function sets in motion: the project's functions that it runs, and the resources that it uses itself.

A map wants more than the call graph: work that is handed to a thread, a task group or the background is still this entry's,
and `with` enters and leaves.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from fastness.tool.project import Service
from fastness.tool.project.names.values import ClassValue, External, FunctionValue, Instance
from fastness.tool.project.source.symbols import CallSite, Class, Function, dotted, handed_on, last_name
from fastness.tool.servicemap import contacts
from fastness.tool.servicemap.model import TABLE, Resource

_EVERYDAY = frozenset(
    name for kind in (str, bytes, dict, list, set, frozenset, tuple, int, float, datetime, Counter) for name in dir(kind)
) | {"dict", "json", "model_dump", "debug", "info", "warning", "error", "exception", "log", "cancel", "done", "result"}


@dataclass(frozen=True, slots=True)
class Contact:
    """One use of a resource, at a place in a function."""

    resource: Resource
    call: str
    line: int


@dataclass(slots=True)
class Run:
    """What one function does.

    Attributes:
        runs: the functions that it runs or has run, each once, in the order of lines.
        contacts: of every resource the first use.
        lost: the calls that cannot be followed.
    """

    runs: dict[Function, None] = field(default_factory=dict)
    contacts: dict[Resource, Contact] = field(default_factory=dict)
    lost: list[CallSite] = field(default_factory=list)


class Walk:
    """The functions of one service, looked at when asked for."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._known: dict[Function, Run] = {}

    def of(self, function: Function) -> Run:
        """What a function does."""
        known = self._known.get(function)
        if known is None:
            known = self._known[function] = Run()
            self._calls(function, known)
            self._entered(function, known)
            self._tables(function, known)
        return known

    def _calls(self, function: Function, run: Run) -> None:
        graph = self.service.graph
        for edge in graph.edges(function):
            run.runs.setdefault(edge.target)
        handled = set()
        for call in graph.outward(function):
            resource = contacts.of_call(self.service, call)
            if resource is not None:
                text = call.target.path.replace("()", "")
                run.contacts.setdefault(resource, Contact(resource, text, call.site.node.lineno))
            if resource is None or resource.kind != contacts.JOBS:
                for given in self._handed_over(call.site):
                    run.runs.setdefault(given)
            handled.add(id(call.site))
        for site in function.calls:
            task = contacts.job_of(self.service, site)
            if task is not None:
                resource = Resource(contacts.JOBS, task.name)
                run.contacts.setdefault(resource, Contact(resource, dotted(site.node.func), site.node.lineno))
            elif id(site) not in handled and self._is_lost(site):
                run.lost.append(site)

    def _handed_over(self, site: CallSite) -> Iterator[Function]:
        """The project's functions that a library is given: `run_in_threadpool(work, x)`, `add_task(send)`."""
        for given in handed_on(site.node):
            if isinstance(given, ast.Name | ast.Attribute):
                for value in self.service.resolver.infer(given, site.scope):
                    if isinstance(value, FunctionValue):
                        yield value.definition

    def _is_lost(self, site: CallSite) -> bool:
        """The call is a method of something whose type is unknown, and not one that every text or list has."""
        called = site.node.func
        if not isinstance(called, ast.Attribute) or called.attr in _EVERYDAY or called.attr.startswith("__"):
            return False
        return not self.service.resolver.targets(site) and not self.service.resolver.infer(called.value, site.scope)

    def _entered(self, function: Function, run: Run) -> None:
        """`with thing:` runs what its class has for it."""
        for node in function.nodes:
            if isinstance(node, ast.With | ast.AsyncWith):
                for item in node.items:
                    for value in self.service.resolver.infer(item.context_expr, function):
                        self._enter(value, item.context_expr, run)

    def _enter(self, value: object, node: ast.expr, run: Run) -> None:
        graph = self.service.graph
        if isinstance(value, Instance):
            for name in ("__enter__", "__aenter__", "__exit__", "__aexit__"):
                method = self.service.resolver.method(value.definition, name)
                for target in graph.answering(FunctionValue(method, value.definition)) if method is not None else ():
                    run.runs.setdefault(target)
        elif isinstance(value, External) and value.path in _TRANSACTIONS:
            resource = contacts.of_path(self.service, f"{value.path}.__enter__")
            if resource is not None:
                text = value.path.replace("()", "")
                run.contacts.setdefault(resource, Contact(resource, text, node.lineno))

    def _tables(self, function: Function, run: Run) -> None:
        """The ORM classes that the body names."""
        for node in function.nodes:
            name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
            if name in self._entity_names and isinstance(getattr(node, "ctx", None), ast.Load):
                for value in self.service.resolver.infer(node, function):  # type: ignore[arg-type]
                    if isinstance(value, ClassValue) and self._is_entity(value.definition):
                        resource = Resource(TABLE, value.definition.name)
                        contact = Contact(resource, name, getattr(node, "lineno", function.node.lineno))
                        run.contacts.setdefault(resource, contact)

    @cached_property
    def _entities(self) -> set[Class]:
        classes = [c for m in self.service.project.service for c in m.classes if self.service.is_entity(c) and _is_mapped(c)]
        return {c for c in classes if "__tablename__" in c.bindings or not any(self.service.resolver.subclasses(c))}

    def _is_entity(self, defined: Class) -> bool:
        return defined in self._entities

    @cached_property
    def _entity_names(self) -> set[str]:
        """Under which the ORM classes are known, those of imports that rename them included."""
        names = {defined.name for defined in self._entities}
        for module in self.service.project.service:
            for _, _, node, _, _ in module.imports:
                names |= {alias.asname for alias in node.names if alias.asname and alias.name in names}
        return names


_TRANSACTIONS = {
    "fastness.database.UnitOfWork()", "sqlalchemy.orm.Session().begin()", "sqlalchemy.ext.asyncio.AsyncSession().begin()",
    "sqlalchemy.ext.asyncio.AsyncEngine().begin()", "sqlalchemy.ext.asyncio.AsyncEngine().connect()",
}  # fmt: skip


def _is_mapped(defined: Class) -> bool:
    """It has columns of its own: a base that others build on has no table."""
    if any(
        isinstance(binding.node, ast.stmt) and binding.value is not None
        for binding in defined.bindings.get("__tablename__", ())
    ):
        return True
    if any(keyword.arg == "table" for keyword in defined.node.keywords):
        return True
    values = [binding.value for bindings in defined.bindings.values() for binding in bindings]
    return any(isinstance(value, ast.Call) and last_name(value) in _COLUMNS for value in values)


_COLUMNS = {"mapped_column", "Column", "relationship", "Field", "CharField", "IntField", "ForeignKeyField"}
