"""The parts of bodies that decide how much an endpoint works, and that nothing bounds."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from fastness.tool.check.knowledge.credentials.secrets import names_password
from fastness.tool.check.knowledge.inputs import amounts
from fastness.tool.check.knowledge.inputs.amounts import Use
from fastness.tool.check.knowledge.inputs.bodies import bodies, fields, options, part
from fastness.tool.project import Service
from fastness.tool.project.names.values import Elements, External, Instance, Value, Values
from fastness.tool.project.routes import Route
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Class, Function, Scope, last_name

_PROMPT = re.compile(
    r"prompt|messages?$|question|query|content|text|^inputs?$|instruction|history|conversation|context|document"
    r"|^(?:goal|task|topic|description|transcript|article|essay|story)s?$"
)
HASHED = "hashed"
_HASHING = ("bcrypt", "argon2", "passlib", "pwdlib")
# Whose password it is that stands beside these.
_ELSEWHERE = {"host", "port", "server", "smtp_host", "smtp_port", "database", "uri", "url", "account_identifier", "connection"}
_TEXTS = {"str()", "pydantic.SecretStr()"}
_BOUNDED = {"max_length", "max_items", "pattern", "regex", "le", "lt", "validator", None}
_WHAT = {
    amounts.LOOPED: "waits for something outside for each of {}",
    amounts.REPEATED: "does as much as {} says",
    amounts.AWAITED: "waits as long as {} says",
    HASHED: "takes {}, which is hashed",
    amounts.ASKED: "asks a language model with all of {}",
}


@dataclass(frozen=True, slots=True)
class Part:
    """A field of a model, or a parameter that is a list.

    Attributes:
        holder: the model, or the endpoint.
        node: where it is declared.
    """

    holder: Class | Function
    node: ast.AST
    name: str
    use: Use

    @property
    def work(self) -> str:
        """What is done with it, as evidence tells it."""
        return _WHAT[self.use.kind].format(self.name)


def imports(module: Module, *libraries: str) -> bool:
    """The file takes something from one of these libraries."""
    return any(name.partition(".")[0] in libraries for name, *_ in module.imported)


def parts(service: Service) -> Iterator[Part]:
    """What the bodies of writes leave to the client."""
    seen: set[Function] = set()
    hashes = any(module.mentions(*_HASHING) and imports(module, *_HASHING) for module in service.project.service)
    for route in service.routes:
        handler = route.handler
        if not route.writes or handler in seen or not handler.module.is_service:
            continue
        seen.add(handler)
        if hashes:
            yield from _passwords(service, route)
        yield from service.notes.search("parts of bodies", handler, partial(_parts, service, handler))


def _parts(service: Service, handler: Function) -> Iterator[Part]:
    injected = {dependency.parameter for dependency in service.parameters(handler)}
    for parameter, default in handler.parameters:
        values = service.resolver.annotation(parameter.annotation, handler.parent)
        handed_on = parameter.arg in injected and _is_taken_by_dependency(service, handler, parameter.arg, values)
        if not handed_on and (parameter.arg in injected or not _is_body(service, values, default)):
            continue
        for use in amounts.uses(service, handler, parameter.arg):
            if use.part:
                yield from _fields(service, values, use)
            elif use.kind == amounts.LOOPED and _fits(service, use, parameter.annotation, default, handler.parent):
                yield Part(handler, parameter, parameter.arg, use)


def _passwords(service: Service, route: Route) -> Iterator[Part]:
    """Passwords of any length: bcrypt cuts or refuses them, and every other function works on all of it."""
    for *_, model in bodies(service, route):
        of_model = fields(service, model)
        for name in filter(names_password, () if _ELSEWHERE & of_model.keys() else of_model):
            declared = part(service, model, name)
            if declared is not None and _is_open_text(service, declared[1].annotation, declared[1].value, declared[0]):
                yield Part(declared[0], declared[1], name, Use(name, HASHED, route.handler, route.handler.node))


def _is_open_text(service: Service, annotation: ast.expr | None, default: ast.expr | None, scope: Scope) -> bool:
    paths = {value.path for value in service.resolver.annotation(annotation, scope) if isinstance(value, External)}
    return bool(paths & _TEXTS) and not options(service, annotation, default, scope) & _BOUNDED


def _fields(service: Service, values: Values, use: Use) -> Iterator[Part]:
    for model in (value.definition for value in values if isinstance(value, Instance)):
        declared = part(service, model, use.part)
        if declared is not None and _fits(service, use, declared[1].annotation, declared[1].value, declared[0]):
            yield Part(declared[0], declared[1], ast.unparse(declared[1].target), use)


def _is_body(service: Service, values: Values, default: ast.expr | None) -> bool:
    """A model, or a list of anything but files, of which FastAPI takes a thousand at most."""
    if isinstance(default, ast.Call) and last_name(default) not in {"Body", "Form"}:
        return False
    lists = [value.of for value in values if isinstance(value, Elements)]
    if any(isinstance(inner, External) and inner.path == "fastapi.UploadFile()" for of in lists for inner in of):
        return False
    return bool(lists) or any(isinstance(value, Instance) and service.is_model(value.definition) for value in values)


def _is_taken_by_dependency(service: Service, handler: Function, parameter: str, values: Values) -> bool:
    """A dependency takes the body as this model, hands it on, and measures nothing of it."""
    models = {value.definition for value in values if isinstance(value, Instance) and service.is_model(value.definition)}
    for dependency in service.parameters(handler) if models else ():
        taking = dependency.target
        if isinstance(taking, Function):
            service.reading.body(taking)
        if dependency.parameter != parameter or not isinstance(taking, Function) or any(s.name == "len" for s in taking.calls):
            continue
        for taken, default in taking.parameters:
            given = service.resolver.annotation(taken.annotation, taking.parent)
            if _is_body(service, given, default) and any(isinstance(v, Instance) and v.definition in models for v in given):
                return True
    return False


def _fits(service: Service, use: amounts.Use, annotation: ast.expr | None, default: ast.expr | None, scope: Scope) -> bool:
    """The part has the type of which the use is work, and nothing bounds it."""
    values = service.resolver.annotation(annotation, scope)
    if options(service, annotation, default, scope) & _BOUNDED:
        return False
    name = use.part.rpartition(".")[2]
    is_text = any(isinstance(value, External) and value.path in _TEXTS for value in values)
    lists = [value.of for value in values if isinstance(value, Elements)]
    if use.kind == amounts.LOOPED:
        return bool(lists) and not any(_is_one_of_few(service, inner) for of in lists for inner in of)
    if use.kind in {amounts.REPEATED, amounts.AWAITED}:
        return External("int()") in values or (use.kind == amounts.AWAITED and External("float()") in values)
    return (is_text or bool(lists)) and _PROMPT.search(name) is not None


def _is_one_of_few(service: Service, value: Value) -> bool:
    return isinstance(value, Instance) and service.resolver.derives(
        value.definition, "enum.Enum", "enum.StrEnum", "enum.IntEnum"
    )
