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

from fastness.tool.check.knowledge.inputs.bodies import fields, validated
from fastness.tool.check.knowledge.inputs.checked import CHECKS, Checks, is_ending, takes
from fastness.tool.check.knowledge.inputs.handed import handed, inside, leading_to
from fastness.tool.check.rule import proof
from fastness.tool.findings import Evidence
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Edge, Outward
from fastness.tool.project.names import literals
from fastness.tool.project.names.values import Elements, External, Instance, Value, Values
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Binding, CallSite, Class, Function, constant, last_name, passed
from fastness.tool.project.source.walk import walk

_DEEPEST = 12  # calls in front of the sink
_RETURNED = 6  # calls behind a value, each of which gives back what it got
_SHOWN = 5  # steps of evidence in front of the sink; a longer way convinces nobody
_KEEPS = {
    "strip", "lstrip", "rstrip", "lower", "upper", "encode", "decode", "title", "casefold", "removesuffix", "replace", "format",
    "split", "rsplit", "partition", "get", "pop", "unicode_string", "joinpath", "resolve", "absolute", "expanduser", "as_posix",
}  # fmt: skip
_TEXTS = {"str()", "dict()", "list()", "pydantic.HttpUrl()", "pydantic.AnyUrl()", "pydantic.AnyHttpUrl()"}
_REQUEST = re.compile(r"fastapi\.Request\(\)\.(?:query_params|headers|cookies|json\(\)|form\(\))(?:\.get\(\))?")


@dataclass(frozen=True, slots=True)
class Danger:
    """What makes a client's text dangerous somewhere.

    Attributes:
        sink: the part of a call to something external that must not be the client's; None when there is none.
        passes: the functions that give on what they get, with the positions of the arguments that they do.
        begins: the client's text is dangerous behind this one.
        cleans: attributes that keep only a harmless part.
        guarded: what is called looks at the value itself; asked of sinks only.
        checks: calls that decide about the value, besides those that everybody would name so.
        in_path: a parameter in the route's own path can be dangerous: it cannot contain a slash.
    """

    sink: Callable[[External, CallSite], ast.expr | None]
    passes: Mapping[str, int | None]
    begins: Callable[[str], bool]
    guarded: Callable[[External, CallSite], bool] = lambda *_: False
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
    _seen: set[tuple[Function, frozenset[tuple[str, Class | None]]]] = field(default_factory=set)
    _returned_by: dict[Function, list[ast.expr]] = field(default_factory=dict)
    _models: dict[str, Class] = field(default_factory=dict)  # of the sources that are whole bodies, or parts of them
    _returning: int = 0
    _leading: set[Function] = field(init=False)
    _checks: Checks = field(init=False)

    def __post_init__(self) -> None:
        self._leading = set(leading_to(self.service, lambda call: self._sink(call) is not None))
        self._checks = Checks(self.service, self.danger.checks, self._uses)

    def flows(self) -> Iterator[Flow]:
        """Every way of a client's value to a sink, one for each value and function that holds sinks."""
        reported: set[tuple[Function, str]] = set()
        for route in self.service.routes:
            if route.handler not in self._leading or not route.handler.module.is_service:
                continue
            sources = self._sources(route)
            self._models = dict(self._whole(route, sources))
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
        """What the client gives the endpoint, and what dependencies make of what it gives them."""
        found = self._sent(route.handler, route)
        for dependency in self.service.parameters(route.handler):
            target, name = dependency.target, dependency.parameter
            if name is not None and isinstance(target, Function) and not CHECKS.search(target.name):
                given = self._sent(target, route)
                if given and self._gives_back(target, given) is not None:
                    found[name] = name
        return found

    def _sent(self, function: Function, route: Route) -> dict[str, str]:
        """The parameters of an endpoint or a dependency that the client fills with text."""
        injected = {dependency.parameter for dependency in self.service.parameters(function)}
        found: dict[str, str] = {}
        for parameter, default in function.parameters:
            name = parameter.arg
            if name in injected or (function.owner is not None and name in {"self", "cls"}):
                continue
            in_path = f"{{{name}}}" in (route.path or "")
            if (in_path and not self.danger.in_path) or self._constrained(parameter.annotation, default, function):
                continue
            if self._is_text(self.service.resolver.annotation(parameter.annotation, function.parent)):
                found[name] = name
        return found

    def _whole(self, route: Route, sources: Mapping[str, str]) -> Iterator[tuple[str, Class]]:
        """The sources that are bodies, with their models: what they are called with need not say what it is."""
        for parameter, _ in route.handler.parameters:
            if parameter.arg in sources:
                values = self.service.resolver.annotation(parameter.annotation, route.handler.parent)
                yield from ((parameter.arg, one) for one in self._models_of(values))

    def _models_of(self, values: Values) -> Iterator[Class]:
        return (v.definition for v in values if isinstance(v, Instance) and self.service.is_model(v.definition))

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
        if any(isinstance(value, External) and value.path == "fastapi.UploadFile()" for value in values):
            return f"{source}.filename" if node.attr == "filename" else None
        model = next(self._models_of(values), None if values else self._models.get(source))
        if model is None:
            return source if node.attr in {"parent", "path", "args", "file_path"} else None
        if not self._is_free(model, node.attr):
            return None
        part = f"{source}.{node.attr}"
        owner, declared = fields(self.service, model)[node.attr]
        if isinstance(declared, ast.AnnAssign):
            held = self.service.resolver.annotation(declared.annotation, owner)
            self._models.update((part, one) for one in self._models_of(held))
        return part

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
        return name not in validated(self.service, model)

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
        if isinstance(node.func, ast.Attribute) and node.func.attr == "join" and len(node.args) == 1:
            if (source := self._line(node.func.value, node.args[0], function, names)) is not None:
                return source
        elif isinstance(node.func, ast.Attribute) and node.func.attr in {"group", "groups"}:
            return self._matched(node.func.value, function, names)
        for value in self.service.resolver.infer(node.func, function):
            if isinstance(value, External) and value.path in self.danger.passes:
                position = self.danger.passes[value.path]
                given = node.args if position is None else node.args[position : position + 1]
                return next((t for one in given if (t := self.tainted(one, function, names))), None)
        return self._returned(node, function, names) or self._asked(node, function)

    def _line(self, between: ast.expr, joined: ast.expr, function: Function, names: Mapping[str, str]) -> str | None:
        """`"/".join(parts)`: of a path that was taken apart, or of texts that are written out."""
        if not isinstance(joined, ast.List | ast.Tuple):
            return None if isinstance(between, ast.Constant) and not between.value else self.tainted(joined, function, names)
        parts = [part for element in joined.elts for part in (between, element)]
        return self._joined(parts[1:], function, names)

    def _matched(self, match: ast.expr, function: Function, names: Mapping[str, str]) -> str | None:
        """`re.search(pattern, name).group(1)`, where the pattern lets the client write anything."""
        found = [b.value for b in function.bindings.get(match.id, ())] if isinstance(match, ast.Name) else [match]
        calls = (one.value if isinstance(one, ast.NamedExpr) else one for one in found)
        subjects = (
            takes(one) for one in calls if isinstance(one, ast.Call) and last_name(one) in {"match", "search", "fullmatch"}
        )
        return next((t for subject in subjects if (t := self.tainted(subject, function, names))), None)

    def _returned(self, node: ast.Call, function: Function, names: Mapping[str, str]) -> str | None:
        """A function of the project that returns what it was given, or a text that begins with it."""
        for edge in self.service.graph.edges(function):
            if edge.site.node is not node or edge.target is function or CHECKS.search(edge.target.name):
                continue
            given = self._given(edge, function, names)
            if given and (source := self._gives_back(edge.target, given)):
                return source
        return None

    def _gives_back(self, target: Function, given: dict[str, str]) -> str | None:
        key = (target, frozenset((name, None) for name in (*given, "<return>")))
        if key in self._seen or self._returning > _RETURNED:
            return None
        self._seen.add(key)
        self._returning += 1
        try:
            names = self._spread(target, given)
            return next((t for value in self._results(target) if (t := self.tainted(value, target, names))), None)
        finally:
            self._returning -= 1
            self._seen.discard(key)

    def _results(self, function: Function) -> list[ast.expr]:
        """What a function, or one inside of it, returns."""
        known = self._returned_by.get(function)
        if known is None:
            found = (node.value for node in walk(function.node) if isinstance(node, ast.Return))
            known = self._returned_by[function] = [value for value in found if value is not None]
        return known

    # -- functions

    def _sink(self, call: Outward) -> ast.expr | None:
        """The part of a call that must not be the client's."""
        part = self.danger.sink(call.target, call.site)
        if part is None:
            return None
        # What was noted of a call says its path, and not what made the object that is asked.
        whole = (value for value in self.service.resolver.targets(call.site) if value == call.target)
        guarded = any(self.danger.guarded(value, call.site) for value in whole)
        return None if guarded else part

    def _uses(self, function: Function) -> set[ast.AST]:
        """The calls of a function that are sinks, or lead to some."""
        graph = self.service.graph
        later, sent = handed(self.service, function)
        sinks = {c.site.node for c in (*graph.outward(function), *sent) if self._sink(c) is not None}
        return sinks | {edge.site.node for edge in (*graph.edges(function), *later) if edge.target in self._leading}

    def _within(self, function: Function, given: dict[str, str], steps: tuple[Evidence, ...], depth: int = 0) -> Iterator[Flow]:
        key = (function, frozenset((name, self._models.get(source)) for name, source in given.items()))
        if key in self._seen or depth > _DEEPEST:
            return
        self._seen.add(key)
        names = self._spread(function, given)
        graph = self.service.graph
        later, sent = handed(self.service, function)
        reported: set[ast.Call] = set()
        for call in (*graph.outward(function), *sent):
            part = self._sink(call) if call.site.node not in reported else None
            source = self.tainted(part, function, names) if part is not None else None
            if source is not None:
                reported.add(call.site.node)
                yield Flow(function, call.site, source, steps)
        ways: list[tuple[Function, ast.AST, dict[str, str]]] = [
            (edge.target, edge.site.node, self._given(edge, function, names)) for edge in (*graph.edges(function), *later)
        ]
        ways += [(inner, inner.node, _visible(inner, names)) for inner in inside(function)]
        for target, node, gets in ways:
            if gets and target in self._leading and target.module.is_service:
                text = f"gives {', '.join(sorted(set(gets.values())))} to {target.qualified}"
                shown = (*steps[: _SHOWN - 1], proof(function, node, text))
                yield from self._within(target, gets, shown, depth + 1)

    def _given(self, edge: Edge, function: Function, names: Mapping[str, str]) -> dict[str, str]:
        """The parameters of a called function that get the client's text."""
        given = _visible(edge.target, names) if edge.target.parent is function else {}
        pairs = passed(edge.site.node, edge.target)
        given.update((name, source) for name, value in pairs if (source := self.tainted(value, function, names)))
        return given

    def _spread(self, function: Function, given: Mapping[str, str]) -> dict[str, str]:
        """Every name of the function that holds the client's text, unless the function checks it."""
        names = dict(given)
        for _ in range(4):
            before = len(names)
            for name, bindings in function.bindings.items():
                for binding in bindings:
                    if name not in names and not isinstance(binding.node, ast.arg):
                        source = self._bound(binding, function, names)
                        if source is not None:
                            names[name] = source
            if len(names) == before:
                break
        checked = {source.partition(".")[0] for source in self._checked(function, names)}
        return {name: source for name, source in names.items() if source.partition(".")[0] not in checked}

    def _bound(self, binding: Binding, function: Function, names: Mapping[str, str]) -> str | None:
        if binding.value is not None:
            return self.tainted(binding.value, function, names)
        if binding.unpacked is None or binding.unpacked[1] != 0:
            return None
        # `name, ending = filename.rsplit(".", 1)`: what stands in front holds every slash.
        whole = binding.unpacked[0]
        apart = isinstance(whole, ast.Call) and last_name(whole) in {"rsplit", "rpartition", "splitext"}
        return self.tainted(ast.Subscript(whole, ast.Constant(0)), function, names) if apart else None

    def _checked(self, function: Function, names: Mapping[str, str], *, nested: bool = True) -> Iterator[str]:
        """The sources that the function, or one that it calls, compares with a list or hands to something that checks."""
        for subject in self._checks.subjects(function):
            yield from self._mentioned(subject, names)
        for edge in self.service.graph.edges(function) if nested else ():
            given_ = self._given(edge, function, names)
            yield from self._checked(edge.target, given_, nested=False) if given_ else ()

    def _mentioned(self, node: ast.expr, names: Mapping[str, str]) -> Iterator[str]:
        if not is_ending(node):
            for inner in walk(node):
                if isinstance(inner, ast.Name) and inner.id in names:
                    yield names[inner.id]


def _visible(inner: Function, names: Mapping[str, str]) -> dict[str, str]:
    """Of the names around a function those that it sees."""
    return {name: source for name, source in names.items() if name not in inner.bindings}
