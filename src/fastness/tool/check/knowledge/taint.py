"""Where a value that a client chose ends up: followed through names, text and calls of the project, from endpoints to a sink.

What is asked is where in the result the client's text begins. A file name is dangerous as a whole component of a path, and
harmless behind a prefix; an address is dangerous when the client chose its host, and harmless in the path of a fixed one. A
function that compares the value with a list, or hands it to something that checks, has dealt with it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from fastness.tool.check.knowledge import reach
from fastness.tool.check.knowledge.bodies import fields
from fastness.tool.check.rule import proof
from fastness.tool.findings import Evidence
from fastness.tool.project import Service, literals
from fastness.tool.project.calls import Edge
from fastness.tool.project.routes import Route
from fastness.tool.project.symbols import CallSite, Class, Function, constant, handed_on, last_name
from fastness.tool.project.values import Elements, External, Instance, Value, Values
from fastness.tool.project.walk import walk

_DEEPEST = 5  # steps of evidence in front of the sink; a longer way convinces nobody
_KEEPS = {
    "strip", "lstrip", "rstrip", "lower", "upper", "encode", "decode", "title", "casefold", "removesuffix", "replace", "format",
    "split", "rsplit", "partition", "get", "pop", "unicode_string", "joinpath", "resolve", "absolute", "expanduser", "as_posix",
}  # fmt: skip
_TEXTS = {"str()", "dict()", "list()", "pydantic.HttpUrl()", "pydantic.AnyUrl()", "pydantic.AnyHttpUrl()"}
_REQUEST = re.compile(r"fastapi\.Request\(\)\.(?:query_params|headers|cookies|json\(\)|form\(\))(?:\.get\(\))?")
_CHECKS = re.compile(
    r"valid|safe|secure|sanit|check|allow|verify|clean|is_relative_to|commonpath|fullmatch|^match$|^search$|basename|slug|assert|ssrf|guard"
    r"|trusted|whitelist|isalnum|isidentifier|isdigit|isdecimal|^ip_address$|^UUID$|^int$|block|forbid|reject|require",
    re.IGNORECASE,
)
_ENDING = re.compile(r"splitext|\.r?split\(|\.r?partition\(|\.endswith\(|suffix|content_type|\.guess_type\(")


@dataclass(frozen=True, slots=True)
class Danger:
    """What makes a client's text dangerous somewhere.

    Attributes:
        sink: the part of a call to something external that must not be the client's; None when there is none.
        passes: the functions that give on what they get, with the positions of the arguments that they do.
        begins: the client's text is dangerous behind this one.
        cleans: attributes that keep only a harmless part.
        checks: calls that decide about the value, besides those that everybody would name so.
        in_path: a parameter in the route's own path can be dangerous: it cannot contain a slash.
    """

    sink: Callable[[External, CallSite], ast.expr | None]
    passes: Mapping[str, int | None]
    begins: Callable[[str], bool]
    cleans: frozenset[str] = frozenset()
    checks: frozenset[str] = frozenset()
    in_path: bool = False


@dataclass(frozen=True, slots=True)
class Flow:
    """The client's value at a sink, with the way that it took."""

    function: Function
    site: CallSite
    source: str
    steps: tuple[Evidence, ...]


@dataclass(slots=True)
class Taint:
    """Follows values through one service for one danger."""

    service: Service
    danger: Danger
    _seen: set[tuple[Function, frozenset[str]]] = field(default_factory=set)
    _compared: dict[Function, list[ast.expr]] = field(default_factory=dict)
    _returned_by: dict[Function, list[ast.expr]] = field(default_factory=dict)
    _leading: set[Function] = field(init=False)

    def __post_init__(self) -> None:
        self._leading = set(self._leading_to_sinks())

    def flows(self) -> Iterator[Flow]:
        """Every way of a client's value to a sink, one for each value and function that holds sinks."""
        reported: set[tuple[Function, str]] = set()
        for route in self.service.routes:
            if route.handler not in self._leading or not route.handler.module.is_service:
                continue
            sources = self._sources(route)
            step = (
                (proof(route.handler, route.handler.node, f"{route.handler.qualified} takes {', '.join(sources)}"),)
                if sources
                else ()
            )
            for flow in self._within(route.handler, sources, step):
                if (flow.function, flow.source) not in reported:
                    reported.add((flow.function, flow.source))
                    yield flow

    # -- sources

    def _sources(self, route: Route) -> dict[str, str]:
        handler = route.handler
        injected = {dependency.parameter for dependency in self.service.parameters(handler)}
        found: dict[str, str] = {}
        for parameter, default in handler.parameters:
            name = parameter.arg
            if name in injected or (handler.owner is not None and name in {"self", "cls"}):
                continue
            in_path = f"{{{name}}}" in (route.path or "")
            if (in_path and not self.danger.in_path) or self._constrained(parameter.annotation, default, handler):
                continue
            if self._is_text(self.service.resolver.annotation(parameter.annotation, handler.parent)):
                found[name] = name
        return found

    def _constrained(self, annotation: ast.expr | None, default: ast.expr | None, handler: Function) -> bool:
        """A pattern says what the value looks like."""
        declared = [default, *(extra for extra, _ in literals.metadata(self.service.resolver, annotation, handler.parent))]
        return any(
            isinstance(call, ast.Call) and any(k.arg in {"pattern", "regex"} for k in call.keywords) for call in declared
        )

    def _is_text(self, values: Values) -> bool:
        """Something that can carry text of the client's own: text, a body, an upload."""
        return any(self._carries(value) for value in values)

    def _carries(self, value: Value) -> bool:
        if isinstance(value, Elements):
            return self._is_text(value.of)
        if isinstance(value, Instance):
            return self.service.is_model(value.definition) and not self.service.is_settings(value.definition)
        return isinstance(value, External) and (value.path in _TEXTS or value.path == "fastapi.UploadFile()")

    # -- expressions

    def tainted(self, node: ast.expr | None, function: Function, names: Mapping[str, str]) -> str | None:  # noqa: PLR0911 - one dispatch
        """Whose text the value of an expression begins with; None when it is not the client's."""
        match node:
            case ast.Name():
                return names.get(node.id)
            case ast.Await() | ast.NamedExpr() | ast.Starred() | ast.FormattedValue():
                return self.tainted(node.value, function, names)
            case ast.Attribute():
                return self._attribute(node, function, names)
            case ast.Subscript():
                return self._item(node, function, names)
            case ast.Call():
                return self._call(node, function, names)
            case ast.IfExp():
                return self.tainted(node.body, function, names) or self.tainted(node.orelse, function, names)
            case ast.BoolOp():
                return next((t for value in node.values if (t := self.tainted(value, function, names))), None)
            case ast.JoinedStr():
                return self._joined(node.values, function, names)
            case ast.BinOp(op=ast.Add()):
                return self._joined([node.left, node.right], function, names)
            case ast.BinOp(op=ast.Div()):  # `Path() / name`
                return self.tainted(node.right, function, names) or self.tainted(node.left, function, names)
            case ast.List() | ast.Tuple():
                return next((t for value in node.elts if (t := self.tainted(value, function, names))), None)
            case _:
                return None

    def _joined(self, parts: list[ast.expr], function: Function, names: Mapping[str, str]) -> str | None:
        before = ""
        for part in parts:
            tainted = self.tainted(part, function, names)
            if tainted is not None and self.danger.begins(before):
                return tainted
            text = literals.text(self.service.resolver, part, function)
            before += "{}" if text is None else text
        return None

    def _attribute(self, node: ast.Attribute, function: Function, names: Mapping[str, str]) -> str | None:
        if node.attr in self.danger.cleans:
            return None
        values = self.service.resolver.infer(node.value, function)
        source = self.tainted(node.value, function, names)
        if source is None:
            return None
        for value in values:
            if isinstance(value, External) and value.path == "fastapi.UploadFile()":
                return f"{source}.filename" if node.attr == "filename" else None
            if isinstance(value, Instance) and self.service.is_model(value.definition):
                return f"{source}.{node.attr}" if self._is_free(value.definition, node.attr) else None
        return source if node.attr in {"parent", "path", "args", "file_path"} else None

    def _is_free(self, model: Class, name: str) -> bool:
        """The field is text that no pattern and no validator of the model looks at."""
        declared = fields(self.service, model).get(name)
        if declared is None:
            return False
        owner, node = declared
        if not isinstance(node, ast.AnnAssign) or not self._is_text(self.service.resolver.annotation(node.annotation, owner)):
            return False
        if isinstance(node.value, ast.Call) and any(k.arg in {"pattern", "regex"} for k in node.value.keywords):
            return False
        validated = (
            constant(argument)
            for base in self.service.resolver.mro(model)
            if isinstance(base, Class)
            for method in base.methods
            for decorator in method.decorators
            if isinstance(decorator, ast.Call)
            for argument in decorator.args
        )
        return name not in set(validated)

    def _item(self, node: ast.Subscript, function: Function, names: Mapping[str, str]) -> str | None:
        inner = node.value
        if (
            isinstance(inner, ast.Call)
            and isinstance(inner.func, ast.Attribute)
            and inner.func.attr in {"split", "rsplit", "splitext", "partition", "rpartition"}
        ):
            # What stands behind the last dot or slash holds neither.
            if constant(node.slice) == 1 or isinstance(node.slice, ast.UnaryOp):
                return None
            return self.tainted(
                inner.args[0] if inner.func.attr == "splitext" and inner.args else inner.func.value, function, names
            )
        return self.tainted(inner, function, names) or self._asked(node, function)

    def _asked(self, node: ast.expr, function: Function) -> str | None:
        """`request.query_params["name"]` and `.get("name")`: the client's, whatever the parameters are."""
        inner = node.value if isinstance(node, ast.Subscript) else node.func if isinstance(node, ast.Call) else node
        if not any(_REQUEST.fullmatch(path.removesuffix(".get")) for path in self.service.resolver.paths(inner, function)):
            return None
        return ast.unparse(node)

    def _call(self, node: ast.Call, function: Function, names: Mapping[str, str]) -> str | None:
        if isinstance(node.func, ast.Attribute) and node.func.attr in _KEEPS:
            source = self.tainted(node.func.value, function, names)
            if source is not None:
                return source
            if node.func.attr == "joinpath":
                return next((t for given in node.args if (t := self.tainted(given, function, names))), None)
        for value in self.service.resolver.infer(node.func, function):
            if isinstance(value, External) and value.path in self.danger.passes:
                position = self.danger.passes[value.path]
                given = node.args if position is None else node.args[position : position + 1]
                return next((t for one in given if (t := self.tainted(one, function, names))), None)
        return self._returned(node, function, names) or self._asked(node, function)

    def _returned(self, node: ast.Call, function: Function, names: Mapping[str, str]) -> str | None:
        """A function of the project that returns what it was given, or a text that begins with it."""
        for edge in self.service.graph.edges(function):
            if edge.site.node is not node or edge.target is function or _CHECKS.search(edge.target.name):
                continue
            given = self._given(edge, function, names)
            if given and (source := self._gives_back(edge.target, given)):
                return source
        return None

    def _gives_back(self, target: Function, given: dict[str, str]) -> str | None:
        key = (target, frozenset({*given, "<return>"}))
        if key in self._seen:
            return None
        self._seen.add(key)
        try:
            names = self._spread(target, given)
            return next((t for value in self._results(target) if (t := self.tainted(value, target, names))), None)
        finally:
            self._seen.discard(key)

    def _results(self, function: Function) -> list[ast.expr]:
        """What a function, or one inside of it, returns."""
        known = self._returned_by.get(function)
        if known is None:
            found = (node.value for node in walk(function.node) if isinstance(node, ast.Return))
            known = self._returned_by[function] = [value for value in found if value is not None]
        return known

    # -- functions

    def _leading_to_sinks(self) -> Iterator[Function]:
        """What requests run and has a sink in it or in what it calls: nothing has to be followed elsewhere."""
        graph = self.service.graph
        callers: dict[Function, list[Function]] = {}
        pending = []
        for function in reach.from_requests(self.service):
            in_threads, sent = graph.in_threads(function)
            for edge in (*graph.edges(function), *in_threads):
                callers.setdefault(edge.target, []).append(function)
            if any(self.danger.sink(call.target, call.site) for call in (*graph.outward(function), *sent)):
                pending.append(function)
        seen: set[Function] = set()
        while pending:
            function = pending.pop()
            if function not in seen:
                seen.add(function)
                yield function
                pending += callers.get(function, ())

    def _within(self, function: Function, given: dict[str, str], steps: tuple[Evidence, ...]) -> Iterator[Flow]:
        key = (function, frozenset(given))
        if key in self._seen or len(steps) > _DEEPEST:
            return
        self._seen.add(key)
        names = self._spread(function, given)
        graph = self.service.graph
        in_threads, sent = graph.in_threads(function)
        reported: set[ast.Call] = set()
        for call in (*graph.outward(function), *sent):
            part = self.danger.sink(call.target, call.site) if call.site.node not in reported else None
            source = self.tainted(part, function, names) if part is not None else None
            if source is not None:
                reported.add(call.site.node)
                yield Flow(function, call.site, source, steps)
        for edge in (*graph.edges(function), *in_threads):
            leads = edge.target in self._leading and edge.target.module.is_service
            if leads and (passed := self._given(edge, function, names)):
                text = f"gives {', '.join(sorted(set(passed.values())))} to {edge.target.qualified}"
                yield from self._within(edge.target, passed, (*steps, proof(function, edge.site.node, text)))

    def _given(self, edge: Edge, function: Function, names: Mapping[str, str]) -> dict[str, str]:
        """The parameters of a called function that get the client's text."""
        parameters = [parameter.arg for parameter, _ in edge.target.parameters]
        if edge.target.owner is not None and not edge.target.decorated("staticmethod"):
            parameters = parameters[1:]
        pairs = [*zip(parameters, edge.site.node.args, strict=False)]
        pairs += [(k.arg, k.value) for k in edge.site.node.keywords if k.arg in parameters]
        return {name: source for name, value in pairs if name and (source := self.tainted(value, function, names))}

    def _spread(self, function: Function, given: Mapping[str, str]) -> dict[str, str]:
        """Every name of the function that holds the client's text, unless the function checks it."""
        names = dict(given)
        for _ in range(4):
            before = len(names)
            for name, bindings in function.bindings.items():
                for binding in bindings:
                    if name not in names and binding.value is not None and not isinstance(binding.node, ast.arg):
                        source = self.tainted(binding.value, function, names)
                        if source is not None:
                            names[name] = source
            if len(names) == before:
                break
        checked = {source.partition(".")[0] for source in self._checked(function, names)}
        return {name: source for name, source in names.items() if source.partition(".")[0] not in checked}

    def _checked(self, function: Function, names: Mapping[str, str], *, nested: bool = True) -> Iterator[str]:
        """The sources that the function, or one that it calls, compares with a list or hands to something that checks."""
        for subject in self._subjects(function):
            yield from self._mentioned(subject, names)
        for edge in self.service.graph.edges(function) if nested else ():
            given_ = self._given(edge, function, names)
            yield from self._checked(edge.target, given_, nested=False) if given_ else ()

    def _subjects(self, function: Function) -> list[ast.expr]:
        """What a function compares with lists and hands to what checks."""
        known = self._compared.get(function)
        if known is None:
            known = self._compared[function] = []
            targets = {edge.site.node: edge.target for edge in self.service.graph.edges(function)}
            for node in function.nodes:
                if isinstance(node, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
                    known += [] if constant(node.left) == "." else [node.left, *node.comparators]
                elif isinstance(node, ast.Call):
                    called = last_name(node.func)
                    checks = _CHECKS.search(called) or called in self.danger.checks
                    if checks and not (node in targets and _looks_at_ending(targets[node])):
                        known += [node.func.value] if isinstance(node.func, ast.Attribute) else []
                        known += handed_on(node)
        return known

    def _mentioned(self, node: ast.expr, names: Mapping[str, str]) -> Iterator[str]:
        if not _is_ending(node):
            for inner in walk(node):
                if isinstance(inner, ast.Name) and inner.id in names:
                    yield names[inner.id]


def _is_ending(node: ast.AST) -> bool:
    """What a name ends with, or what it is said to hold: whoever looks at that has not looked at where it leads."""
    if isinstance(node, ast.Attribute):
        return node.attr in {"scheme", "content_type", "suffix", "suffixes"}
    return isinstance(node, ast.Call | ast.Subscript) and _ENDING.search(ast.unparse(node)) is not None


def _looks_at_ending(function: Function) -> bool:
    """A function that is named like a check, and looks at nothing of what it gets but its ending."""
    given = {parameter.arg for parameter, _ in function.parameters}
    looked = False
    pending: list[ast.AST] = list(function.node.body) if isinstance(function.node.body, list) else [function.node.body]
    while pending:
        node = pending.pop()
        if _is_ending(node):
            looked = True
        elif isinstance(node, ast.Compare) and constant(node.left) == ".":
            continue
        elif isinstance(node, ast.Name) and node.id in given and node.id not in {"self", "cls"}:
            return False
        else:
            pending += ast.iter_child_nodes(node)
    return looked
