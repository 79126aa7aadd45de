"""A client chooses a path on the server's disk.

An upload's file name and a query parameter are the client's words: `../../app/main.py` or `/etc/passwd`. Joined to a directory
they lead out of it, since `os.path.join` and `/` let an absolute part win, so files of others are read, overwritten or deleted.

Store under a name of your own (a UUID, an id), or keep the last component only and check `resolved.is_relative_to(directory)`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.inputs.taint import Danger, Taint
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import External
from fastness.tool.project.source.symbols import CallSite

_FIRST = re.compile(
    r"open|io\.open|aiofiles\.open|anyio\.open_file|os\.(?:remove|unlink|rmdir|makedirs|mkdir|listdir|scandir|rename|replace)"
    r"|shutil\.(?:rmtree|copy\w*|move)|(?:fastapi|starlette)\.responses\.FileResponse|zipfile\.ZipFile"
)
_OF_PATH = re.compile(
    r"(?:pathlib|anyio)\.Path\(\)\.(?:open|read_text|read_bytes|write_text|write_bytes|unlink|mkdir|rmdir|touch|iterdir|rename)"
)
_PASSES = {
    "os.path.join": None, "os.path.abspath": 0, "os.path.normpath": 0, "os.path.realpath": 0, "os.path.expanduser": 0,
    "os.path.dirname": 0, "pathlib.Path": None, "anyio.Path": None, "pathlib.PurePath": None, "str": 0,
    "urllib.parse.unquote": 0, "os.fspath": 0,
}  # fmt: skip


def _sink(called: External, site: CallSite) -> ast.expr | None:
    if _FIRST.fullmatch(called.path):
        return next((a for name in ("path", "file", "name") if (a := site.argument(name, 0)) is not None), None)
    if _OF_PATH.fullmatch(called.path) and isinstance(site.node.func, ast.Attribute):
        return site.node.func.value
    return None


def _begins_component(before: str) -> bool:
    """What follows is a component of its own: behind a prefix, `..` is part of a name that does not exist."""
    return not before or before.endswith(("/", "\\"))


_DANGER = Danger(
    _sink,
    _PASSES,
    _begins_component,
    cleans=frozenset({"name", "stem", "suffix", "suffixes"}),
    checks=frozenset({"startswith", "relative_to"}),
)


@rule(
    severity=Severity.ERROR, practice="6.2", help="use a name of your own, or keep the last component and check where it leads"
)
def check(service: Service) -> Iterator[Found]:
    for flow in Taint(service, _DANGER).flows():
        called = ast.unparse(flow.site.node.func)[:60]
        yield found(
            flow.function, flow.site.node, f"the client chooses the path that {called} uses: {flow.source}", *flow.steps
        )


EXAMPLES = [
    Bad("""
        import os
        from pathlib import Path
        from fastapi import FastAPI, UploadFile
        from fastapi.responses import FileResponse
        from pydantic import BaseModel

        app = FastAPI()
        UPLOADS = Path("uploads")

        class Order(BaseModel):
            report: str

        def store(name, content):
            target = os.path.join("uploads", name)
            with open(target, "wb") as out:  # found
                out.write(content)

        @app.post("/a")
        def a(file: UploadFile):
            store(file.filename, file.file.read())

        @app.get("/b")
        def b(name: str):
            return FileResponse(f"static/{name}")  # found

        @app.get("/c/{rest:path}")
        def c(rest: str):
            return (UPLOADS / rest).read_text()  # found

        @app.post("/d")
        def d(order: Order):
            os.remove(order.report + ".pdf")  # found

        def allowed(name):
            return "." in name and name.rsplit(".", 1)[1].lower() in {"png", "pdf"}

        @app.post("/e")
        def e(file: UploadFile):
            if not allowed(file.filename):
                raise ValueError
            open(os.path.join("uploads", file.filename), "wb").close()  # found

        @app.post("/f")
        def f(file: UploadFile):
            if "." not in file.filename or not file.filename.endswith((".png", ".pdf")):
                raise ValueError
            open(os.path.join("uploads", file.filename), "wb").close()  # found

        @app.post("/g")
        def g(file: UploadFile):
            name, ending = file.filename.rsplit(".", 1)
            open(os.path.join("uploads", f"{name}_small.{ending}"), "wb").close()  # found

        @app.post("/h")
        def h(file: UploadFile):
            name, ending = os.path.splitext(file.filename)
            open(f"uploads/{name}-large{ending}", "wb").close()  # found

        def clean(text):
            return text.strip() if isinstance(text, str) else text

        @app.post("/i")
        def i(title: str):
            save(title=title)
            return clean(title)

        def save(title):
            named = title.lower().replace(" ", "-")
            open(os.path.join("pages", f"{named}.md"), "w").close()  # found
    """),
    Bad("""
        import re
        from fastapi import FastAPI

        app = FastAPI()

        @app.get("/a")
        def a(url: str):
            content = b""
            if url.startswith("/files/"):
                content = open("./" + url.lstrip("/"), "rb").read()  # found
            return content

        @app.get("/b")
        def b(url: str):
            match = re.search(r"localhost:\\d+/(.*)", url)
            if match:
                path = match.group(1)
            else:
                path = "/".join(url.split("/")[-4:])
            return open("./" + path).read()  # found
    """),
    Good(
        """
        import os
        import uuid
        from pathlib import Path
        from fastapi import FastAPI, UploadFile
        from werkzeug.utils import secure_filename

        app = FastAPI()
        UPLOADS = Path("uploads")

        @app.post("/a")
        def a(file: UploadFile):
            extension = os.path.splitext(file.filename)[1]
            with open(f"uploads/{uuid.uuid4()}{extension}", "wb") as out:
                out.write(file.file.read())

        @app.post("/b")
        def b(file: UploadFile):
            name = secure_filename(file.filename)
            open(os.path.join("uploads", name), "wb").close()

        @app.post("/c")
        def c(file: UploadFile):
            (UPLOADS / Path(file.filename).name).write_bytes(b"")

        @app.post("/d")
        def d(file: UploadFile):
            open(f"uploads/{uuid.uuid4()}_{file.filename}", "wb").close()

        @app.post("/e")
        def e(file: UploadFile):
            name, ending = file.filename.rsplit(".", 1)
            open(os.path.join("uploads", f"{uuid.uuid4()}.{ending}"), "wb").close()
    """,
        "an own name, a cleaned name, the last component, and a name behind a prefix",
    ),
    Good(
        """
        from pathlib import Path
        from fastapi import FastAPI, HTTPException
        from fastapi.responses import FileResponse

        app = FastAPI()
        ROOT = Path("static").resolve()
        KNOWN = {"a.css", "b.css"}

        @app.get("/a/{rest:path}")
        def a(rest: str):
            target = (ROOT / rest).resolve()
            if not target.is_relative_to(ROOT):
                raise HTTPException(404)
            return FileResponse(target)

        @app.get("/b")
        def b(name: str):
            if name not in KNOWN:
                raise HTTPException(404)
            return FileResponse(f"static/{name}")

        @app.get("/c")
        def c(name: str):
            if ".." in name or name.startswith("/"):
                name = "index.html"
            return FileResponse(f"static/{name}")

        @app.get("/d")
        def d(name: str):
            kept = "".join(letter for letter in name if letter != "/")
            target = str((ROOT / name).resolve())
            if target.startswith(str(ROOT)):
                return FileResponse(target)
            return FileResponse(ROOT / kept)
    """,
        "where it leads is checked, or the name is one of a list",
    ),
    Good(
        """
        from enum import Enum
        from uuid import UUID
        from typing import Annotated
        from fastapi import FastAPI, Query, UploadFile
        from fastapi.responses import FileResponse

        app = FastAPI()

        class Theme(Enum):
            DARK = "dark"

        @app.get("/{name}")
        def a(name: str, theme: Theme, id: UUID, page: int, part: Annotated[str, Query(pattern="^[a-z]+$")]):
            open(f"themes/{theme.value}")
            open(f"files/{id}/{page}/{part}")
            return FileResponse(f"static/{name}")

        @app.post("/kind")
        def kind(file: UploadFile):
            return file.filename.endswith(".csv"), open("fixed.csv")
    """,
        "enums, ids, numbers, patterns, a path parameter (it holds no slash), and a name that is only looked at",
    ),
    Bad("""
        from pathlib import Path
        from typing import Annotated
        from fastapi import Depends, FastAPI, HTTPException, UploadFile
        from fastapi.responses import FileResponse

        app = FastAPI()
        ROOT = Path("reports")
        KNOWN = {"daily.csv", "weekly.csv"}

        def asked(report: str) -> Path:
            return ROOT / report

        def known(report: str) -> Path:
            if report not in KNOWN:
                raise HTTPException(404)
            return ROOT / report

        async def kept_as(file: UploadFile) -> str:
            return f"{file.filename}"

        @app.get("/reports")
        def report(path: Annotated[Path, Depends(asked)]):
            return FileResponse(path)  # found

        @app.get("/known")
        def known_report(path: Path = Depends(known)):
            return FileResponse(path)

        @app.post("/reports")
        def keep(name: str = Depends(kept_as)):
            open(ROOT / name, "w")  # found
    """),
]
