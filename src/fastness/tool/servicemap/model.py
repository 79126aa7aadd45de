"""The service map as values: entries, what each passes through, and the resources that it reaches. Nothing here is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

ENDPOINT, WEBSOCKET, MIDDLEWARE, JOB = "endpoint", "websocket", "middleware", "job"
TABLE = "table"  # what an entry touches of a database; resources proper are `contacts.KINDS`


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file.

    Attributes:
        path: relative to the project, with forward slashes.
        line: counted from 1.
    """

    path: str
    line: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """Something outside of the process, or a table in it.

    Attributes:
        kind: one of `contacts.KINDS`, or `table`.
        name: which one, as far as the sources tell.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True, order=True)
class Component:
    """A class, or the functions of a module: the box that a call passes through on its way.

    Attributes:
        name: of the class, or the dotted name of the module.
    """

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Step:
    """One function on the way."""

    function: str
    place: Place
    component: Component


@dataclass(frozen=True, slots=True)
class Reach:
    """How an entry gets to a resource, on the shortest way.

    Attributes:
        by: the function of the entry that begins the way: the endpoint itself, or the dependency that it asks for.
        steps: the functions after it, in order; with it, where it is a dependency.
        call: what is called in the end, as a person writes it.
        place: where.
    """

    resource: Resource
    by: str
    steps: tuple[Step, ...]
    call: str
    place: Place

    @property
    def components(self) -> list[Component]:
        """The classes and modules on the way, each once."""
        return list(dict.fromkeys(step.component for step in self.steps))


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """Where work comes in. Two are equal only when they are the same.

    Attributes:
        kind: `endpoint`, `websocket`, `middleware` or `job`.
        methods: of an endpoint, in order.
        paths: every path under which it is served, prefixes included; `{?}` stands for a part that cannot be told.
        component: the class or module that it stands in; its path is that of the router's module.
    """

    kind: str
    methods: tuple[str, ...]
    paths: tuple[str, ...]
    function: str
    place: Place
    component: Component
    reaches: tuple[Reach, ...] = ()

    @property
    def group(self) -> str:
        """The module that declares it: what a team knows as a router."""
        return self.component.path

    @property
    def through(self) -> list[Component]:
        """The classes and modules between it and its resources, the nearest first."""
        depths: dict[Component, int] = {}
        for reach in self.reaches:
            for depth, component in enumerate(self.way(reach)):
                depths[component] = max(depths.get(component, 0), depth)
        return sorted(depths, key=lambda one: (depths[one], one))

    def way(self, reach: Reach) -> list[Component]:
        """The components of one of its ways but for its own."""
        return [component for component in reach.components if component != self.component]

    @property
    def title(self) -> str:
        """`POST /v1/orders`; of what has no path, what it is and its name."""
        if self.methods:
            return f"{'|'.join(self.methods)} {self.paths[0] if self.paths else '{?}'}"
        return f"{self.kind} {self.function}"

    @property
    def resources(self) -> list[Resource]:
        """What it reaches but for tables, each once."""
        return sorted({reach.resource for reach in self.reaches if reach.resource.kind != TABLE})

    @property
    def tables(self) -> list[str]:
        """The tables that it touches, by the names of their classes."""
        return sorted({reach.resource.name for reach in self.reaches if reach.resource.kind == TABLE})


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that could not be followed, so that the map may lack what lies behind it.

    Attributes:
        count: how often.
    """

    what: str
    place: Place
    count: int = 1


@dataclass(frozen=True, slots=True)
class ServiceMap:
    """What a service consists of, seen from outside.

    Attributes:
        name: of the project.
        entries: in the order of groups, paths and methods.
        gaps: what the map may lack, by place.
        filtered: how it was narrowed down, as a phrase; empty when it is whole.
    """

    name: str
    entries: Sequence[Entry]
    gaps: Sequence[Gap] = field(default=())
    filtered: str = ""

    @property
    def resources(self) -> list[Resource]:
        """Every resource, tables left out."""
        return sorted({resource for entry in self.entries for resource in entry.resources})

    @property
    def groups(self) -> dict[str, list[Entry]]:
        """The entries by the module that declares them, in order."""
        found: dict[str, list[Entry]] = {}
        for entry in self.entries:
            found.setdefault(entry.group, []).append(entry)
        return found

    def of_kind(self, *kinds: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.kind in kinds]
