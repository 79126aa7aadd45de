"""The functions that the event loop runs: where a blocking call stops every other request. Threads are left out."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from fastness.tool.check.knowledge.facts import reach
from fastness.tool.check.knowledge.lifetimes import startup
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Edge
from fastness.tool.project.names.values import External, FunctionValue, Values
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function, handed_on
from fastness.tool.project.source.walk import own, walk

_CACHES = ("lru_cache", "cache", "cached", "alru_cache")


@dataclass(slots=True)
class Entry:
    """One function that the loop runs while it serves requests.

    Attributes:
        role: what it is, as `endpoint` or `dependency`.
        routes: how many path operations run it.
    """

    function: Function
    role: str
    routes: int = field(default=1)


def entries(service: Service) -> list[Entry]:
    """Every async endpoint, dependency, middleware and exception handler of the service, and what runs beside requests."""
    found: dict[Function, Entry] = {}
    for function, role in _candidates(service):
        if not function.is_async or function.module.is_test:
            continue
        if function in found:
            found[function].routes += role == "dependency"
        else:
            found[function] = Entry(function, role)
    return list(found.values())


def _candidates(service: Service) -> Iterator[tuple[Function, str]]:
    for route in service.routes:
        yield route.handler, "websocket" if route.is_websocket else "endpoint"
    for route in service.routes:
        for dependency in service.tree(route):
            if isinstance(dependency.target, Function):
                yield dependency.target, "dependency"
    for middleware in service.middleware:
        yield from ((function, "middleware") for function in service.run_by(middleware))
    for module in service.project.service:
        yield from ((function, "exception handler") for function in module.functions if function.decorated("exception_handler"))
        handed = service.notes.ask("handed over", module, partial(_handed_over, service, module))
        yield from ((one, role) for place, role in handed if (one := service.project.function(*place)) is not None)
    yield from _beside_requests(service)


_STREAMS = ("StreamingResponse", "EventSourceResponse")
_TAKE = (("add_task", 0, "func", "background task"), ("add_exception_handler", 1, "handler", "exception handler"))


def _handed_over(service: Service, module: Module) -> list[tuple[tuple[str, str], str]]:
    """The functions that a file gives to others to run, by their labels."""
    found = []
    for name, position, keyword, role in _TAKE:
        for site in module.calls_by_name.get(name, ()):
            values = service.resolver.infer(site.argument(keyword, position), site.scope)
            found += [(value.definition.label, role) for value in values if isinstance(value, FunctionValue)]
    for name in _STREAMS:
        for site in module.calls_by_name.get(name, ()):
            content = site.argument("content", 0)
            # What a coroutine makes, its own entry reaches.
            if isinstance(content, ast.Call) and isinstance(site.scope, Function) and not site.scope.is_async:
                made = _coroutines(service, content, site)
                found += [(one.label, "stream") for one in made if one.is_generator]
    return found


def _beside_requests(service: Service) -> Iterator[tuple[Function, str]]:
    """What start-up leaves running on the loop: its tasks, and the jobs of a scheduler that runs them there."""
    words = (*_TASKS, *_JOBS, *_REPEATED)
    if not any(module.mentions(*words) for module in service.project.service):
        return
    started = reach.closure(service, startup.starts(service))
    for function in sorted(started, key=lambda one: (one.module.path, one.line)):
        for site in service.notes.search("tasks", function, partial(_tasks, function)):
            yield from ((one, "task") for one in _coroutines(service, site.node.args[0], site))
    for module in service.project.service:
        sites = [site for name in _JOBS for site in module.calls_by_name.get(name, ())]
        for site in sites:
            runs = isinstance(site.scope, Module) and not module.only_as_script(site.node)
            if (runs or site.scope in started) and _matches(service.resolver.targets(site), _ADDS_JOB):
                yield from ((one, "scheduled job") for one in _functions(service, site.argument("func", 0), site))
        for function in module.functions if module.mentions(*_REPEATED) else ():
            if function.decorated(*_REPEATED) and any(
                _matches(service.resolver.infer(one.func, function.parent), _REPEATS)
                for one in function.decorators
                if isinstance(one, ast.Call)
            ):
                yield function, "scheduled job"


_TASKS = ("create_task", "ensure_future", "start_soon")
_JOBS = ("add_job",)
_REPEATED = ("scheduled_job", "repeat_every")
_ON_LOOP = r"apscheduler\.schedulers\.(?:asyncio\.AsyncIO|tornado\.Tornado)Scheduler\(\)"
_ADDS_JOB = re.compile(rf"{_ON_LOOP}\.add_job")
_REPEATS = re.compile(rf"{_ON_LOOP}\.scheduled_job|fastapi_(?:utils|restful|utilities)\.(?:\w+\.)*repeat_every")


def _tasks(function: Function) -> list[CallSite]:
    return [site for site in function.calls if site.name in _TASKS and site.node.args]


def _matches(values: Values, pattern: re.Pattern[str]) -> bool:
    return any(isinstance(value, External) and pattern.fullmatch(value.path) for value in values)


def _coroutines(service: Service, given: ast.expr, site: CallSite) -> Iterator[Function]:
    """Of `create_task(monitor.update())` the method, of `start_soon(update)` the function."""
    return _functions(service, given.func if isinstance(given, ast.Call) else given, site)


def _functions(service: Service, node: ast.expr | None, site: CallSite) -> Iterator[Function]:
    for value in service.resolver.infer(node, site.scope):
        if isinstance(value, FunctionValue):
            yield from service.graph.answering(value)


def runs_here(service: Service, edge: Edge) -> bool:
    """The called function runs on the caller's thread, each time.

    A cached function runs once, and so does what makes something that is kept. A plain generator that a response is given is
    run by threads. A plain function that is awaited was wrapped by its decorator, which has handed it to a thread: awaiting its
    own result would fail.
    """
    target = edge.target
    if target.decorated(*_CACHES) or target.module.is_test or is_first(service, edge.site):
        return False
    caller = edge.site.scope
    if isinstance(caller, Function) and edge.site.number in service.notes.ask("streamed", caller, partial(_streamed, caller)):
        return target.is_async or not target.is_generator
    return not (edge.site.awaited and not target.is_async and target.decorated_by)


def _streamed(function: Function) -> list[int]:
    """The numbers of the calls that make what a function hands to a response: `StreamingResponse(rows())`."""
    given = [node for site in function.calls if site.name.endswith("Response") for node in handed_on(site.node)]
    names = {node.id for node in given if isinstance(node, ast.Name)}
    bound = [binding.value for name in names for binding in function.bindings.get(name, ())]
    handed = {id(node) for node in (*given, *bound)}
    return [site.number for site in function.calls if id(site.node) in handed]


def is_first(service: Service, site: CallSite) -> bool:
    """The call is made once, for something that is kept: `if cls.client is None: cls.client = connect()`."""
    function = site.scope
    if not isinstance(function, Function):
        return False
    return site.number in service.notes.ask("made once", function, partial(_made_once, function))


def _made_once(function: Function) -> list[int]:
    """The numbers of the calls that a function makes as long as something is missing that outlives the request."""
    found: set[int] = set()
    if function.owner is None and not function.globals:
        return []
    for node in function.of(ast.If):
        last, lacking = node.body[-1], _kept(function, missing(node.test))
        if lacking and any(isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) in lacking for one in own(node.body)):
            found.update(id(one) for one in own(node.body) if isinstance(one, ast.Call))
        elif isinstance(last, ast.Return) and last.value and ast.unparse(last.value) in _kept(function, walk(node.test)):
            end = node.end_lineno or 0  # `if client: return client`, and what follows makes one
            found.update(id(site.node) for site in function.calls if site.node.lineno > end)
    return [site.number for site in function.calls if id(site.node) in found]


def missing(test: ast.expr) -> Iterator[ast.expr]:
    """What a test asks to be missing: `client` of `client is None`, and of `not client`."""
    for node in walk(test):
        if isinstance(node, ast.UnaryOp):
            yield node.operand
        elif isinstance(node, ast.Compare) and any(isinstance(op, ast.Is) for op in node.ops):
            yield node.left


def _kept(function: Function, nodes: Iterable[ast.AST]) -> set[str]:
    return {ast.unparse(one) for one in nodes if _is_kept(function, one)}


def _is_kept(function: Function, node: ast.AST) -> bool:
    """A name of the module or of a class; of an object, which may be the request's own, one that is named as resources are."""
    if isinstance(node, ast.Name):
        return node.id in function.globals
    if not isinstance(node, ast.Attribute) or not isinstance(node.value, ast.Name):
        return False
    return node.value.id == "cls" or (node.value.id == "self" and _RESOURCE.search(node.attr) is not None)


_RESOURCE = re.compile(
    r"(?:^|_)(?:instance|client|connection|engine|pool|manager|storage|driver|producer|initiali[sz]ed|loaded|model)$"
)


def needs_loop(service: Service, function: Function) -> bool:
    """It awaits, makes a coroutine for somebody else, or calls what works with the running loop."""
    if any(isinstance(n, _AWAITING) or getattr(n, "is_async", 0) for n in function.nodes):
        return True
    if any(edge.target.is_async for edge in service.graph.edges(function)):
        return True
    return bool(service.graph.nearest([function], lambda call: "loop" if call.target.path.startswith(_LOOP) else None))


_AWAITING = (ast.Await, ast.AsyncFor, ast.AsyncWith)
_LOOP = ("asyncio.", "anyio.", "starlette.concurrency.", "fastapi.concurrency.")
