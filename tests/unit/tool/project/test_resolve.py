"""What names and expressions stand for, across files."""

from itertools import permutations

import pytest

from fastness.tool.check.examples import files, project
from fastness.tool.check.rule import Good
from fastness.tool.project import Project, Service
from fastness.tool.project.names.values import ClassValue, External, FunctionValue, Instance, Value

_SESSION = "sqlalchemy.orm.Session()"
_ASYNC = "sqlalchemy.ext.asyncio.AsyncSession()"


def _project(source: str) -> Project:
    return project(files(Good(source)))


def _shown(value: Value) -> str:
    if isinstance(value, External):
        return value.path
    if isinstance(value, ClassValue | Instance | FunctionValue):
        return f"{type(value).__name__} {value.definition.qualified}"
    return type(value).__name__


def _probe(source: str) -> list[str]:
    """What the argument of the one call `probe(...)` stands for."""
    service = Service(_project(source))
    sites = [site for module in service.project.readable for site in module.calls_by_name.get("probe", ())]
    assert len(sites) == 1
    return [_shown(value) for value in service.resolver.infer(sites[0].node.args[0], sites[0].scope)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import requests as r\nprobe(r.get)", "requests.get"),
        ("from requests import get as fetch\nprobe(fetch)", "requests.get"),
        ("from os import *\nprobe(makedirs)", "os.makedirs"),
        ("from pathlib import Path\nprobe(Path('a').expanduser().absolute().parent.mkdir)", "pathlib.Path().mkdir"),
        ("try:\n    import ujson as json\nexcept ImportError:\n    import json\nprobe(json.loads)", "ujson.loads"),
        ("from sqlmodel import Session\nwith Session(1) as s:\n    probe(s)", _SESSION),
        ("from sqlalchemy.orm import sessionmaker\nprobe(sessionmaker(bind=1)())", _SESSION),
        (
            (
                "from sqlalchemy.orm import sessionmaker\nfrom sqlalchemy.ext.asyncio import AsyncSession\n"
                "M = sessionmaker(class_=AsyncSession)\nasync def f():\n    async with M() as s:\n        probe(s)"
            ),
            _ASYNC,
        ),
        ("def f(path):\n    def path(): ...\n    probe(open)", "open"),
        ("def open(): ...\nprobe(open)", "FunctionValue open"),
        (
            "from typing import Optional\nfrom sqlalchemy.orm import Session\ndef f(s: Optional['Session']):\n    probe(s)",
            _SESSION,
        ),
        ("from sqlalchemy.orm import Session\ndef f(s: Session | None = None):\n    probe(s)", _SESSION),
        ("import functools\ndef g(): ...\nprobe(functools.partial(g, 1))", "FunctionValue g"),
        (
            (
                "from typing import NewType\nfrom sqlalchemy.orm import Session\nReads = NewType('Reads', Session)\n"
                "Writes = NewType('Writes', Reads)\ndef f(s: Writes):\n    probe(s)"
            ),
            _SESSION,
        ),
        (
            (
                "from typing import Self\nclass Base:\n    def named(self) -> Self: ...\nclass Child(Base): ...\n"
                "probe(Child().named().named())"
            ),
            "Instance Child",
        ),
        (
            (
                "from contextlib import AbstractAsyncContextManager\nfrom typing import Protocol, Self\n"
                "class Unit(Protocol):\n    def reading(self) -> AbstractAsyncContextManager[Self]: ...\n"
                "async def f(unit: Unit):\n    async with unit.reading() as inside:\n        probe(inside)"
            ),
            "Instance Unit",
        ),
        ("class Hub: ...\ndef make():\n    hub = Hub()\n    return 1, hub\nargs, hub = make()\nprobe(hub)", "Instance Hub"),
        ("class Hub: ...\ndef make() -> tuple[int, 'Hub']: ...\nargs, hub = make()\nprobe(hub)", "Instance Hub"),
        (
            (
                "import asyncio\nclass Hub: ...\nasync def make() -> Hub: ...\n"
                "async def f():\n    one, other = await asyncio.gather(open(), make())\n    probe(other)"
            ),
            "Instance Hub",
        ),
        (
            (
                "workers = {}\nclass Worker: ...\ndef start():\n    made = Worker()\n    workers['a'] = made\n"
                "def run(name):\n    probe(workers[name])"
            ),
            "Instance Worker",
        ),
        (
            "class Worker: ...\nworkers: list = []\nworkers.append(Worker())\nfor one in workers:\n    probe(one)",
            "Instance Worker",
        ),
        (
            (
                "class Worker: ...\nclass Pool:\n    def __init__(self):\n        self.workers = {}\n"
                "    def start(self, name):\n        self.workers[name] = Worker()\n"
                "    def run(self, name):\n        probe(self.workers.get(name))"
            ),
            "Instance Worker",
        ),
        (
            (
                "class Worker: ...\nclass Registry:\n    known = {}\n    @classmethod\n"
                "    def add(cls, name):\n        cls.known.setdefault(name, Worker())\n"
                "for name, one in list(Registry.known.items()):\n    probe(one)"
            ),
            "Instance Worker",
        ),
        (
            (
                "worker = None\nclass Base:\n    def __init__(self):\n        global worker\n        worker = self\n"
                "def run():\n    probe(worker)"
            ),
            "Instance Base",
        ),
        ("class Hub: ...\ndef run(hub):\n    probe(hub)\nrun(Hub())", "Instance Hub"),
        ("class Hub: ...\ndef run(*, given):\n    probe(given['hub'])\nrun(given={'hub': Hub(), 'n': 1})", "Instance Hub"),
        (
            (
                "from typing import TypedDict\nclass Hub: ...\nclass Given(TypedDict):\n    hub: Hub\n    n: int\n"
                "def run(given: Given):\n    probe(given['hub'])"
            ),
            "Instance Hub",
        ),
        ("from fastness.jobs import Injected\nclass Mails: ...\ndef f(m: Injected[Mails]):\n    probe(m)", "Instance Mails"),
    ],
)
def test_one_file(source: str, expected: str) -> None:
    """Imports, aliases, branches, context managers and annotations lead to the thing itself."""
    assert expected in _probe(source)


_PACKAGE = """
# file: app/__init__.py
# file: app/db/__init__.py
from .session import *
# file: app/db/session.py
from sqlalchemy.orm import Session, sessionmaker

SessionLocal = sessionmaker()

def get_db():
    db = SessionLocal()
    try:
        yield db
    finally:
        db.close()
# file: app/deps.py
from typing import Annotated
from fastapi import Depends
from app.db import get_db, Session

SessionDep = Annotated[Session, Depends(get_db)]
# file: app/base.py
class Base:
    def __init__(self, db):
        self.db = db
# file: app/main.py
"""


@pytest.mark.parametrize(
    "source",
    [
        "from .deps import SessionDep\ndef endpoint(db: SessionDep):\n    probe(db)",
        "from app import deps\ndef endpoint(db: deps.SessionDep):\n    probe(db)",
        "from fastapi import Depends\nfrom app.db import get_db\ndef endpoint(db=Depends(get_db)):\n    probe(db)",
        "from app.db import get_db\nfor db in get_db():\n    probe(db)",
        (
            "from app.db import get_db\nfrom contextlib import contextmanager\n"
            "@contextmanager\ndef own():\n    yield from get_db()\n"
            "from app.db.session import SessionLocal\ns = SessionLocal()\nprobe(s)"
        ),
        (
            "from app.deps import SessionDep\nclass Service:\n    def __init__(self, db: SessionDep):\n        self._db = db\n"
            "    def run(self):\n        probe(self._db)"
        ),
        (
            "from contextlib import contextmanager\nfrom app.db import get_db\nmanager = contextmanager(get_db)\n"
            "with manager() as db:\n    probe(db)"
        ),
        (
            "from fastapi import Depends\nfrom app.db import get_db\nclass View:\n    db = Depends(get_db)\n"
            "    def read(self):\n        probe(self.db)"
        ),
        (
            "from app.base import Base\nfrom app.db.session import SessionLocal\ndef read(session):\n    probe(session)\n"
            "def own():\n    again(session=SessionLocal())\ndef again(session):\n    read(session)"
        ),
        (
            "from app.base import Base\nfrom app.db.session import SessionLocal\nclass Orders(Base):\n"
            "    def __init__(self, db):\n        super().__init__(db)\n    def all(self):\n        probe(self.db)\n"
            "Orders(SessionLocal())"
        ),
        (
            "from app.db.session import Session\nclass Base:\n    session: Session\n"
            "class Reading:\n    def all(self: Base):\n        probe(self.session)"
        ),
        (
            "from typing import Generic, TypeVar\nfrom app.db.session import SessionLocal\nT = TypeVar('T')\n"
            "class Base(Generic[T]): ...\nclass Reading:\n    def session(self):\n        return SessionLocal()\n"
            "class Orders(Base[int], Reading): ...\nprobe(Orders().session())"
        ),
        (
            "from app.deps import SessionDep\nclass A:\n    def __init__(self, db: SessionDep):\n"
            "        self.db = db\nclass B(A):\n"
            "    @property\n    def session(self):\n        return self.db\n    def run(self):\n        probe(self.session)"
        ),
    ],
)
def test_across_files(source: str) -> None:
    """Star imports, re-exports, providers, what callers give, `self` attributes, properties and base classes are followed."""
    assert _SESSION in _probe(_PACKAGE + source)


def test_what_cannot_be_told_is_nothing() -> None:
    """An unknown parameter, a missing name and a cycle of assignments stand for nothing at all."""
    assert _probe("def f(x):\n    probe(x.y.z())") == []
    assert _probe("probe(missing)") == []
    assert _probe("class A: ...\nclass B: ...\ndef f(x):\n    probe(x)\nf(A())\nf(B())") == []
    assert _probe("def f(x):\n    probe(x)\nf(open)") == []
    assert _probe("a = b\nb = a\nprobe(a)") == []
    assert _probe("a, b = b, a\nprobe(a)") == []
    assert _probe("def f(): return f()\na, b = f()\nprobe(a)") == []


def test_a_name_in_a_package_is_not_the_library() -> None:
    """`import logfire` next to the project's own `logfire.py` is the library: packages are not import roots."""
    source = """
# file: app/__init__.py
# file: app/logfire.py
def info(): ...
# file: app/main.py
import logfire

probe(logfire.info)
"""
    assert _probe(source) == ["logfire.info"]


def test_a_service_may_be_started_in_its_package() -> None:
    """What imports `api.routes` and `core.config` in `app` makes it an import root, for its files and after all others."""
    source = """
# file: app/__init__.py
# file: app/api/__init__.py
# file: app/api/routes.py
from db import load

probe(load)
# file: app/db.py
def load(): ...
# file: app/core/__init__.py
# file: app/core/config.py
DEBUG = False
# file: app/main.py
from api.routes import load
from core.config import DEBUG
# file: tests/test_db.py
import app.main
"""
    assert _probe(source) == ["FunctionValue load"]


@pytest.mark.parametrize(
    ("imported", "expected"),
    [
        ("from app.settings import DEBUG", ["FunctionValue load"]),
        ("from app.engine import run", ["app.db.load"]),
        ("from app.engine import run\nfrom app.settings import DEBUG", ["FunctionValue load"]),
    ],
)
def test_one_package_in_it_is_enough_when_most_of_what_is_imported_lies_there(imported: str, expected: list[str]) -> None:
    """`backend/` is a package as well, but `app.db` and `app.settings` are those of `backend/app`: it is started there."""
    source = f"""
# file: backend/__init__.py
# file: backend/app/__init__.py
# file: backend/app/db.py
def load(): ...
# file: backend/app/settings.py
DEBUG = False
# file: backend/app/main.py
from app.db import load
{imported}

probe(load)
"""
    assert _probe(source) == expected


def test_a_folder_that_nobody_can_import_starts_anew() -> None:
    """`services` is imported by name and `services/web-api` cannot be: its own imports start there, not in the package."""
    source = """
# file: services/__init__.py
# file: services/admin/tables.py
def rows(): ...
# file: services/admin/main.py
from services.admin.tables import rows
# file: services/web-api/app/main.py
from app.core.db import load, rows

probe([load, rows][0])
# file: services/web-api/app/core/db.py
from services.admin.tables import rows

def load(): ...
"""
    assert _probe(source) == ["FunctionValue load", "FunctionValue rows"]


@pytest.mark.parametrize("folder", ["packages/common", "packages/common/src"])
def test_the_folder_of_a_distribution_has_the_name_of_its_package(folder: str) -> None:
    """`packages/common/common/__init__.py` is the package `common`, whoever imports it."""
    source = f"""
# file: {folder}/common/__init__.py
# file: {folder}/common/db.py
from common.tables import rows

def load(): ...
# file: {folder}/common/tables.py
def rows(): ...
# file: packages/api/app/main.py
from common.db import load, rows

probe([load, rows][0])
"""
    assert _probe(source) == ["FunctionValue load", "FunctionValue rows"]


@pytest.mark.parametrize("package", ["app", "platform.app"])
def test_a_directory_may_be_named_as_a_module_of_python_is(package: str) -> None:
    """`import platform` is not of the directory of that name, unless something in it is imported so."""
    source = f"""
# file: platform/app/__init__.py
# file: platform/app/db.py
import platform

def load(): ...
# file: platform/app/main.py
from {package}.db import load

probe(load)
"""
    assert _probe(source) == ["FunctionValue load"]


def test_a_collection_holds_what_is_put_into_it_and_not_into_another() -> None:
    """A local of the same name, another object's attribute and texts say nothing about it."""
    source = """
class Worker: ...
workers, names = {}, []

def other():
    workers = {}
    workers["a"] = Worker()

class Pool:
    def __init__(self):
        self.workers = {}
        self.workers["a"] = Worker()

names.append("a")
probe([workers["a"], names[0]][0])
"""
    assert _probe(source) == []


def test_a_package_wins_over_the_file_of_its_name() -> None:
    """`app/cakes.py` was split into `app/cakes/` and left behind: Python does not see it any more."""
    source = """
# file: app/cakes.py
from os import getcwd as made
# file: app/cakes/__init__.py
from time import sleep as made
# file: app/main.py
from app.cakes import made

probe(made)
"""
    assert _probe(source) == ["time.sleep"]


def test_a_package_may_be_named_as_a_library_is() -> None:
    """`from mcap.reader import read` next to the project's own `app/mcap/reader.py` is the library."""
    source = """
# file: app/__init__.py
# file: app/mcap/__init__.py
# file: app/mcap/reader.py
from mcap.reader import read

probe(read)
# file: app/main.py
from app.mcap.reader import read
"""
    assert _probe(source) == ["mcap.reader.read"]


def test_chains_follow_calls_and_not_mentions() -> None:
    """A chain goes through calls, methods and abstract methods; a function that is only named is not called."""
    service = Service(
        _project("""
import time
from abc import ABC, abstractmethod

class Store(ABC):
    @abstractmethod
    def write(self): ...

class FileStore(Store):
    def write(self):
        time.sleep(1)

def save(store: Store):
    store.write()

async def entry(store: Store):
    save(store)

async def handed_over(run):
    await run(save)
""")
    )
    functions = {f.name: f for module in service.project.readable for f in module.functions}
    entries = [functions["entry"], functions["handed_over"]]
    found = service.graph.nearest(entries, lambda call: "sleep" if call.target.path == "time.sleep" else None)
    assert list(found) == [functions["entry"]]
    assert [edge.target.qualified for edge in found[functions["entry"]]["sleep"].edges] == ["save", "FileStore.write"]


@pytest.mark.parametrize(
    ("parameter", "callers", "expected"),
    [("session", 2, [_SESSION]), ("session", 101, []), ("*session", 2, []), ("**db", 2, [])],
)
def test_callers_say_what_a_session_is(parameter: str, callers: int, expected: list[str]) -> None:
    """Of a parameter that says nothing itself, where not so many call the name that most mean something else."""
    name = parameter.strip("*")
    source = f"# file: app/__init__.py\n# file: app/db.py\ndef run({parameter}):\n    probe({name})\n"
    user = "from sqlalchemy.orm import Session\nfrom app.db import run\n\nrun(Session())\n"
    users = "".join(f"# file: app/user{number}.py\n{user}" for number in range(callers))
    assert _probe(source + users) == expected


@pytest.mark.parametrize(
    ("alias", "parameter", "expected"),
    [
        ("", "bus: Any", ["Instance Bus"]),
        ("", "bus: 'Optional[Any]' = None", ["Instance Bus"]),
        ("BusType = Any", "bus: BusType | None = None", ["Instance Bus"]),
        ("BusType: TypeAlias = Optional[Any]", "bus: BusType", ["Instance Bus"]),
        ("Round = Optional['Round']", "bus: Round", []),
        ("", "bus: list", ["list()"]),
        ("", "bus: Any = 1", []),
    ],
)
def test_any_says_nothing(alias: str, parameter: str, expected: list[str]) -> None:
    """What a constructor is given says what it holds, wherever it is called, when its annotation leaves that open."""
    assert (
        _probe(f"""
# file: app/__init__.py
# file: app/uses.py
from typing import Any, Optional, TypeAlias
{alias}
class Uses:
    def __init__(self, {parameter}):
        self.bus = bus
    def run(self):
        probe(self.bus)
# file: app/main.py
from app.uses import Uses
class Bus: ...
def bus() -> object:
    return Bus()
uses = Uses(bus())
""")
        == expected
    )


@pytest.mark.parametrize(
    ("annotation", "value", "expected"),
    [
        ("Rows", "Client().rows()", ["lib.rows.Rows()", "lib.Client().rows()"]),
        ("Rows", "Rows()", ["lib.rows.Rows()"]),
        ("Rows", "Own()", ["lib.rows.Rows()"]),
        ("Own", "Client().own()", ["Instance Own"]),
        ("str", "Client().text()", ["str()"]),
    ],
)
def test_the_way_to_an_object_is_known_beside_its_class(annotation: str, value: str, expected: list[str]) -> None:
    """Of a library's class, which may be known under either path; the project's own says all."""
    source = "from lib import Client\nfrom lib.rows import Rows\nclass Own: ...\n"
    assert _probe(f"{source}rows: {annotation} = {value}\nprobe(rows)") == expected


@pytest.mark.parametrize(
    ("made", "name", "expected"),
    [
        ("request.app.state.sessions()", "db", [_ASYNC]),
        ("other()", "db", [_ASYNC]),
        ("sessionmaker()()", "db", [_SESSION]),
        ("request.app.state.sessions()", "other", ["FunctionValue other"]),
    ],
)
def test_what_is_yielded_has_the_annotated_type(made: str, name: str, expected: list[str]) -> None:
    """Where nothing else tells what a name is that a generator yields, its annotation does."""
    assert (
        _probe(f"""
from collections.abc import AsyncIterator
from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import sessionmaker
def other(): ...
async def get_db(request: Request) -> AsyncIterator[AsyncSession]:
    async with {made} as db:
        yield db
        probe({name})
""")
        == expected
    )


def test_an_empty_tuple_is_an_annotation() -> None:
    """`tuple[()]` and `list[()]` have nothing between their brackets."""
    for annotation in ("tuple[()]", "list[()]", "Annotated[()]"):
        assert _probe(f"from typing import Annotated\ndef f(x: {annotation}):\n    probe(x)") in (["Elements"], [])


def test_of_two_ways_that_are_equally_short_one_is_taken() -> None:
    """Whatever order the entries are given in: a finding's evidence is the same in every run."""
    source = """
import time

async def entry():
    one()
    other()

async def one():
    end()

async def other():
    end()

def end():
    time.sleep(1)
"""
    ways = set()
    for order in permutations(("entry", "one", "other")):
        service = Service(_project(source))
        functions = {f.name: f for module in service.project.readable for f in module.functions}
        found = service.graph.nearest([functions[name] for name in order], lambda _: "sleep")
        assert [function.name for function in found] == ["entry", "one", "other"]
        ways.add(tuple(edge.target.name for edge in found[functions["entry"]]["sleep"].edges))
    assert len(ways) == 1


def test_an_abstract_method_is_answered_by_what_subclasses_inherit() -> None:
    """By a class between, by the first base that has it, and by nobody where all are abstract; circles end."""
    service = Service(
        _project("""
from abc import ABC, abstractmethod

class Store(ABC):
    @abstractmethod
    def write(self): ...
    @abstractmethod
    def read(self): ...

class Buffered(Store):
    def write(self):
        return "buffered"

class Plain(Store):
    def write(self):
        return "plain"

class Disk(Buffered):
    pass

class Both(Plain, Buffered):
    pass

class Round(Round):
    pass

def entry(store: Store):
    store.write()
    store.read()
""")
    )
    functions = {f.qualified: f for module in service.project.readable for f in module.functions}
    reached = [edge.target.qualified for edge in service.graph.edges(functions["entry"])]
    assert reached == ["Buffered.write", "Plain.write", "Store.read"]


def test_super_is_the_base() -> None:
    """`super().method` is the inherited one."""
    source = "class A:\n    def f(self): ...\nclass B(A):\n    def f(self):\n        probe(super().f)"
    assert _probe(source) == ["FunctionValue A.f"]


def test_circles_end() -> None:
    """Modules that star-import each other, and classes that inherit in a circle, are not followed for ever."""
    source = """
# file: app/__init__.py
# file: app/a.py
from app.b import *
from app.c import Missing
# file: app/b.py
from app.a import *
# file: app/c.py
from app.a import *
# file: app/main.py
from app.a import Missing

class A(B): ...
class B(A): ...

def f(x: Missing, y: A):
    probe(y.z)
"""
    service = Service(_project(source))
    for module in service.project.readable:
        for function in module.functions:
            service.graph.edges(function)
            assert service.resolver.annotation(function.node.args.args[0].annotation, module) == ()
        for defined in module.classes:
            assert len(list(service.resolver.subclasses(defined))) == 1
