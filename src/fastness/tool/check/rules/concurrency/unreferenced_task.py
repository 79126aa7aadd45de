"""A task is started and its reference dropped.

The event loop keeps only weak references to tasks: one that nobody holds can be collected in the middle of its work, and its
exception is reported, if at all, when that happens. Both are rare, so they are first seen in production.

Keep the task until it is done: in a set with a done callback that discards it, on an object, in a `TaskGroup`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts.callers import is_unused
from fastness.tool.check.repair import Edit, Repair, at_top, calls_at, lines_added, span
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Finding, Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Function, Kind
from fastness.tool.project.source.walk import walk

_STARTS = ("asyncio.create_task", "asyncio.ensure_future", "asyncio.loop.create_task")


@rule(
    severity=Severity.WARNING,
    practice="4.4",
    fix=Fix.SAFE,
    help="keep the task in a set until it is done (`task.add_done_callback(tasks.discard)`), or use a TaskGroup",
)
def check(module: Module, resolver: Resolver) -> Iterator[Found]:
    for name in ("create_task", "ensure_future"):
        for site in module.calls_by_name.get(name, ()):
            if resolver.calls(site, *_STARTS) and (site.dropped or _never_used(site)) and not _is_never_run(resolver, site):
                started = ast.unparse(site.node.args[0]) if site.node.args else "the task"
                yield found(site.scope, site.node, f"nobody keeps the task that runs {started[:60]}: it can vanish half-way")


def _is_never_run(resolver: Resolver, site: CallSite) -> bool:
    """The function of the module around the call is one that nobody calls."""
    scope = site.scope
    while isinstance(scope, Function) and not isinstance(scope.parent, Module):
        scope = scope.parent
    return isinstance(scope, Function) and not scope.decorators and is_unused(resolver.project, scope.name)


def _never_used(site: CallSite) -> bool:
    """The task is only given a name, in a function that never reads it."""
    scope = site.scope
    if not isinstance(scope, Function):
        return False
    names = [n for n, bindings in scope.bindings.items() for b in bindings if b.value is site.node and b.kind is Kind.ASSIGN]
    return len(names) == 1 and not any(
        isinstance(node, ast.Name) and node.id == names[0] and isinstance(node.ctx, ast.Load) for node in walk(scope.node)
    )


def fix(service: Service, finding: Finding) -> Repair | None:
    """Keep it in a set of the module until it is done."""
    module = service.project.modules[finding.path]
    site = next((site for site in calls_at(service, finding) if service.resolver.calls(site, *_STARTS)), None)
    if site is None or not isinstance(site.scope, Function):
        return None
    statement = next((one for one in ast.walk(site.scope.node) if getattr(one, "value", None) is site.node), None)
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    keeper, edits = _keeper(module)
    if isinstance(statement, ast.Expr):
        used = {node.id for node in ast.walk(site.scope.node) if isinstance(node, ast.Name)} | site.scope.bindings.keys()
        task = next((name for name in ("task", "background_task") if name not in used), None)
        start = span(module, statement)[0]
        edits = (*edits, Edit(module.path, start, start, f"{task} = "))
    else:
        task = target.id if isinstance(target, ast.Name) else None
    if task is None or not isinstance(statement, ast.stmt):
        return None
    kept = lines_added(module, statement, f"{keeper}.add({task})", f"{task}.add_done_callback({keeper}.discard)")
    return Repair((*edits, kept)) if kept is not None else None


def _keeper(module: Module) -> tuple[str, tuple[Edit, ...]]:
    """The name of the module's set of tasks, and the line that makes it where it was missing."""
    name = "_background_tasks"
    for binding in module.bindings.get(name, ()):
        if isinstance(binding.value, ast.Call) and isinstance(binding.value.func, ast.Name) and binding.value.func.id == "set":
            return name, ()
        name = "_kept_tasks"
    return name, (at_top(module, f"{name}: set[object] = set()", blank=1),)


EXAMPLES = [
    Bad("""
        import asyncio
        from asyncio import ensure_future as later

        async def watch():
            ...

        async def start():
            asyncio.create_task(watch())  # found
            later(watch())  # found
            task = asyncio.get_running_loop().create_task(watch())  # found

        asyncio.run(start())
    """),
    Good("""
        import asyncio

        tasks = set()

        class Server:
            async def start(self):
                self.task = asyncio.create_task(self.run())

            async def run(self):
                task = asyncio.create_task(self.start())
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self.start())
                await asyncio.gather(*[asyncio.create_task(self.start()) for _ in range(3)])

        def create_task(name):
            return name

        def queue():
            create_task("not asyncio's")

        def left_over():
            asyncio.create_task(Server().run())
    """),
    Good(
        """
        import asyncio

        async def work(): ...

        def spawn(task):
            ...

        def started():
            return asyncio.create_task(work())

        async def main():
            task = asyncio.create_task(work())
            await task
            await asyncio.wait({asyncio.ensure_future(work())})
            spawn(asyncio.create_task(work()))
            async with asyncio.timeout(1):
                await asyncio.shield(asyncio.create_task(work()))
    """,
        "returned, awaited, waited for with others, or given to whoever keeps it",
    ),
    Good(
        """
        import anyio
        from app.tracker import Tracker

        tracker = Tracker()

        async def work(): ...

        async def main():
            tracker.create_task("write the report")
            async with anyio.create_task_group() as group:
                group.start_soon(work)
        # file: app/tracker.py
        class Tracker:
            def create_task(self, title): ...
    """,
        "a queue and a task group of another library have methods of the same name",
    ),
]
