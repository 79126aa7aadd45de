"""After an edit, a check that knows what was found before tells what one tells that knows nothing."""

import json
from dataclasses import asdict
from pathlib import Path
from textwrap import dedent
from typing import NamedTuple

import pytest

from fastness.tool.check import cache, config, engine
from fastness.tool.findings import Report
from fastness.tool.project.files.opening import open_project


class _Case(NamedTuple):
    """Files of a service whose endpoint runs `go` of `app/a.py`, and edits of it.

    Attributes:
        edits: of each the path, the text that goes, and what comes in its place. A check follows each of them.
        found: stands in the last report and not in the first one; after a `-`, the other way round.
    """

    files: dict[str, str]
    edits: list[tuple[str, str, str]]
    found: str


_MAIN = """
    from fastapi import FastAPI
    from app import a
    from app.b import *

    app = FastAPI()

    @app.get("/x")
    async def x(name: str):
        {}
"""
_WAY = {
    "app/a.py": "from app import b\n\n\nasync def go(name):\n    await b.go()\n",
    "app/b.py": "from app import c\n\n\nasync def go():\n    await c.go()\n",
    "app/c.py": "import time\n\n\nasync def go():\n    time.sleep(3)\n",
}
_CLIENT = "from app import b\n\n\ndef go(name):\n    b.client.get(name, timeout=3)\n"
_SET = "import requests\n\n\ndef start():\n    global client\n    {}\n"
_HEIR = """
    import time
    from app.base import Base

    def make():
        class Impl(Base):
            def {}(self): ...
        return Impl()
"""
_ASKS = """
    from typing import Any

    class Repo:
        def __init__(self, client: Any = None):
            self.client = client
        def load(self, name):
            self.client.get(name, timeout=3)
"""
_ANSWERS = {
    "app/main.py": _MAIN.format("raise error(400, detail=a.go())"),
    "app/a.py": "def go():\n    try:\n        return 1 / 0\n    except Exception as error:\n        return str(error)\n",
}
_TOLD = "the text of error goes to the client"

_CASES = {
    "an empty line below a head": _Case(
        _WAY, [("app/a.py", "go(name):\n", "go(name):\n\n\n"), ("app/z.py", "", "x = 1\n")], "7 app/a.py calls go"
    ),
    "an empty line in a head": _Case(
        _WAY, [("app/a.py", "go(name):\n", "go(\n\nname\n):\n"), ("app/a.py", "(\n", "(\n\n"), ("app/z.py", "", "x = 1\n")],
        "9 app/a.py calls go",
    ),
    "a class of the name of a built-in": _Case(
        {"app/a.py": "def go(name):\n    open(name)\n"},
        [("app/a.py", "def go", "class open: x = 1\n\n\ndef go")],
        "-open (file)",
    ),
    "a class of a name that a star import gave": _Case(
        {"app/a.py": "from time import *\n\n\ndef go(name):\n    sleep(3)\n"},
        [("app/a.py", "    sleep(3)\n", "    sleep(3)\n\n\nclass sleep: x = 1\n")],
        "-time.sleep",
    ),
    "a function that the file calls when it is imported": _Case(
        {"app/a.py": _CLIENT, "app/b.py": "from requests import *\n\nclient = Session()\n"},
        [("app/b.py", "client =", "def Session(): ...\n\n\nclient =")],
        "-requests.Session.get",
    ),
    "a global that was nothing": _Case(
        {"app/a.py": _CLIENT, "app/b.py": _SET.format("client = None")},
        [("app/b.py", "client = None", "client = requests.Session()")],
        "requests.Session.get",
    ),
    "a global that was nothing, unpacked": _Case(
        {"app/a.py": _CLIENT, "app/b.py": _SET.format("client, x = None, None")},
        [("app/b.py", "= None", "= requests.Session()")],
        "requests.Session.get",
    ),
    "a global that is imported": _Case(
        {"app/a.py": _CLIENT, "app/b.py": _SET.format("import asyncio as client")},
        [("app/b.py", "asyncio", "requests")],
        "requests.get",
    ),
    "what is put into a collection": _Case(
        {
            "app/a.py": "from app import b\n\n\ndef go(name):\n    for one in b.workers:\n        one.run(name)\n",
            "app/b.py": """
                import time

                class Worker:
                    def run(self, name):
                        time.sleep(3)

                workers = []

                def start():
                    workers.append(None)
            """,
        },
        [("app/b.py", "append(None)", "append(Worker())")],
        "time.sleep",
    ),
    "a function in one of two of the same name": _Case(
        {
            "app/a.py": """
                import sys
                import time

                if sys.platform == "win32":
                    def go(name):
                        def inner(): return 1
                        return inner()
                else:
                    def go(name):
                        def inner(): return 2
                        return inner()
            """
        },
        [("app/a.py", "return 2", "time.sleep(2)")],
        "time.sleep",
    ),
    "a method of a class in a function": _Case(
        {
            "app/a.py": "from app.base import Base\n\n\ndef go(name, base: Base = None):\n    base.run()\n",
            "app/b.py": _HEIR.format("run"),
            "app/base.py": "class Base:\n    def run(self): raise NotImplementedError\n",
        },
        [("app/b.py", "...", "time.sleep(3)")],
        "time.sleep",
    ),
    "another method of a class in a function": _Case(
        {
            "app/a.py": "from app.base import Base\n\n\ndef go(name, base: Base = None):\n    base.run()\n",
            "app/b.py": _HEIR.format("walk"),
            "app/base.py": "class Base:\n    def run(self): raise NotImplementedError\n",
        },
        [("app/b.py", "walk(self): ...", "run(self): time.sleep(3)")],
        "time.sleep",
    ),
    "a caller that gives what it did not": _Case(
        {
            "app/a.py": "from app.repo import Repo\n\n\ndef go(name, repo: Repo = None):\n    repo.load(name)\n",
            "app/b.py": "import requests\nfrom app import repo\n\nS = requests.Session()\n\n\ndef made():\n    repo.Repo()\n",
            "app/repo.py": _ASKS,
        },
        [("app/b.py", "Repo()", "Repo(S)")],
        "requests.Session.get",
    ),
    "a caller beside one that no function makes": _Case(
        {
            "app/a.py": "from app.repo import Repo\n\n\ndef go(name, repo: Repo = None):\n    repo.load(name)\n",
            "app/b.py": "import requests\nfrom app import repo\n\nR, S = repo.Repo(), requests.Session()\n",
            "app/repo.py": _ASKS,
        },
        [("app/b.py", "()\n", "()\n\n\ndef made():\n    repo.Repo(S)\n")],
        "requests.Session.get",
    ),
    "a package in which the service is started": _Case(
        {
            "app/a.py": "from api.deep import go\n",
            "app/api/__init__.py": "",
            "app/api/deep.py": "import time\n\n\ndef go(name):\n    time.sleep(3)\n",
            "app/core/__init__.py": "",
            "app/core/config.py": "",
            "main.py": "import app.main, app.api, app.core\n",
        },
        [("app/z.py", "", "import core.config\n")],
        "time.sleep",
    ),
    "a client that looks at addresses itself": _Case(
        {
            "app/a.py": "from app.b import make\n\n\ndef go(name):\n    return make().get(name)\n",
            "app/b.py": """
                import httpx
                T = httpx.HTTPTransport()
                def make():
                    return httpx.Client(transport=T, timeout=4)
            """,
        },
        [("app/z.py", "", "import time\n\ntime.sleep(1)\n"), ("app/a.py", "from", "import app.z\nfrom")],
        "importing app.z makes a sleep call",
    ),
    "two files of the same text": _Case(
        {
            "app/a.py": "from app import x, y\n\n\ndef go(name):\n    x.core, y.core\n",
            "app/x/__init__.py": "from . import core\n",
            "app/y/__init__.py": "from . import core\n",
            "app/x/core.py": "import time\n\ntime.sleep(3)\n",
            "app/y/core.py": "import time\n\ntime.sleep(4)\n",
        },
        [("app/z.py", "", "import time\n\ntime.sleep(1)\n"), ("app/a.py", "from", "import app.z\nfrom")],
        "importing app.z makes a sleep call",
    ),
    "what an exception hands up": _Case(
        {
            **_ANSWERS,
            "app/b.py": """
                from fastapi import HTTPException

                class error(HTTPException):
                    def __init__(self, code, detail):
                        super().__init__(code, "x")
            """,
        },
        [("app/b.py", '"x"', "detail")],
        _TOLD,
    ),
    "what a function makes a response of": _Case(
        {
            **_ANSWERS,
            "app/b.py": """
                from fastapi.responses import JSONResponse

                def error(code, detail):
                    given = detail
                    return JSONResponse("x")
            """,
        },
        [("app/b.py", '"x"', "given")],
        _TOLD,
    ),
}  # fmt: skip


@pytest.mark.parametrize("edit", _CASES)
def test_after_an_edit_the_same_is_found(edit: str, tmp_path: Path) -> None:
    """What was noted of functions is forgotten where the edit can have changed it, whatever way leads there."""
    root, kept = tmp_path / "project", tmp_path / "cache"
    files, edits, found = _CASES[edit]
    always = {"app/__init__.py": "", "app/main.py": _MAIN.format("a.go(name)"), "app/b.py": "", "app/z.py": ""}
    for path, text in {**always, **files}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(dedent(text).lstrip("\n"))
    told = [_told(_checked(root, kept))]
    for path, old, new in edits:
        text = (root / path).read_text()
        assert old in text
        (root / path).write_text(text.replace(old, new) if old else new)
        told.append(_told(_checked(root, kept)))
        assert told[-1] == _told(_checked(root, None))
    there = [found.removeprefix("-") in one for one in told]
    assert there[-1] is not found.startswith("-")
    assert there[0] is not there[-1]


def _checked(root: Path, kept: Path | None) -> Report:
    settings, project = config.read(root), open_project(root)
    known = cache.Cache(kept, project)
    report = known.report(settings)
    if report is None:
        report = engine.check(project, settings, kept=known)
        known.keep(settings, report)
    return report


def _told(report: Report) -> str:
    """All that a report says but for its time, evidence as `3 app/a.py calls b`."""
    said = [f"{one.line} {one.path} {one.text}" for finding in report.findings for one in finding.evidence]
    return json.dumps([{**asdict(report), "seconds": 0}, said], default=str)
