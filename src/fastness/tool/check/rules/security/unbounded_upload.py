"""An upload of any size is read into memory, or copied to disk.

`await file.read()` without a size holds the whole file: one client with one large upload, or a hundred with middling ones, ends
the process for everybody. A size check after the read comes too late. A copy in pieces, `shutil.copyfileobj`, fills the disk.

Refuse by `file.size` before reading, read in chunks and count, or limit bodies in a middleware or with `max_body_size`.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.access import limits
from fastness.tool.check.knowledge.inputs import sizes
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.names.values import Elements, External
from fastness.tool.project.source.symbols import CallSite, Function

_TEMPORARY = re.compile(r"te?mp(?:orary|file|_|\b)", re.IGNORECASE)
_READS = {"fastapi.UploadFile().read", "fastapi.UploadFile().file.read"}


@rule(severity=Severity.WARNING, practice="6.2", help="refuse by `file.size` before reading, or read in chunks and count")
def check(service: Service) -> Iterator[Found]:
    if limits.bodies_are_limited(service):
        return
    for module in service.project.service:
        if not module.mentions("UploadFile"):
            continue
        for function in module.functions:
            for one in _of(function, service.resolver):
                if not sizes.is_asked_first(service, function, one[0].line):
                    yield found(function, one[0].node, f"{function.qualified} {one[1]}")
                    break
    yield from _read_by_fastapi(service)


def _read_by_fastapi(service: Service) -> Iterator[Found]:
    """`avatar: Annotated[bytes, File()]`: the whole of it is read before the endpoint sees anything."""
    seen: set[Function] = set()
    for route in service.routes:
        handler = route.handler
        if handler in seen or not handler.module.is_service or not handler.module.mentions("bytes"):
            continue
        seen.add(handler)
        for parameter, default in handler.parameters:
            values = service.resolver.annotation(parameter.annotation, handler.parent)
            flat = [inner for value in values for inner in (value.of if isinstance(value, Elements) else (value,))]
            declared = [*literals.metadata(service.resolver, parameter.annotation, handler.parent), (default, handler.parent)]
            if External("bytes()") in flat and any(
                isinstance(one, ast.Call) and "fastapi.File" in service.resolver.paths(one.func, where)
                for one, where in declared
            ):
                yield found(
                    handler, parameter, f"{handler.qualified} takes {parameter.arg} as bytes: all of it is read into memory"
                )
                break


def _of(function: Function, resolver: Resolver) -> Iterator[tuple[CallSite, str]]:
    for site in function.calls:
        if site.name == "read" and not site.node.args and not site.node.keywords and _reads_upload(site, resolver):
            yield site, "reads an upload of any size into memory"
        elif site.name == "copyfileobj" and _copies_upload(function, site, resolver):
            yield site, "copies an upload of any size to disk"


def _copies_upload(function: Function, site: CallSite, resolver: Resolver) -> bool:
    """To where it stays: FastAPI has put it into a temporary file already, a second one is no more."""
    if not site.node.args or "fastapi.UploadFile().file" not in resolver.paths(site.node.args[0], site.scope):
        return False
    opened = (item for node in function.of(ast.With) for item in node.items)
    return not any(_TEMPORARY.search(ast.unparse(one)) for one in (*site.node.args[1:], *opened))


def _reads_upload(site: CallSite, resolver: Resolver) -> bool:
    return any(isinstance(value, External) and value.path in _READS for value in resolver.targets(site))


EXAMPLES = [
    Bad("""
        import shutil
        from fastapi import FastAPI, File, UploadFile

        app = FastAPI()

        @app.post("/a")
        async def a(file: UploadFile = File(...)):
            content = await file.read()  # found
            if len(content) > 1000:
                raise ValueError("too late")

        @app.post("/b")
        def b(files: list[UploadFile]):
            return [f.file.read() for f in files]  # found

        @app.post("/c")
        def c(file: UploadFile):
            with open("upload", "wb") as target:
                shutil.copyfileobj(file.file, target)  # found
    """),
    Bad("""
        from typing import Annotated
        from fastapi import Body, FastAPI, File

        app = FastAPI()

        @app.post("/a")
        def a(avatar: Annotated[bytes, File()]):  # found
            return len(avatar)

        @app.post("/b")
        def b(pages: list[bytes] = File(...), note: bytes = Body()):  # found
            return len(pages)
    """),
    Good("""
        from fastapi import FastAPI, UploadFile

        app = FastAPI()

        @app.post("/a")
        async def a(file: UploadFile):
            if file.size is None or file.size > 1000:
                raise ValueError("too large")
            return await file.read()

        @app.post("/b")
        async def b(file: UploadFile):
            while chunk := await file.read(65536):
                print(len(chunk))

        def c(path):
            return open(path).read()
    """),
    Good(
        """
        from fastapi import FastAPI, UploadFile
        from app.limits import MaxBodySizeMiddleware

        app = FastAPI()
        app.add_middleware(MaxBodySizeMiddleware, limit=1000)

        @app.post("/a")
        async def a(file: UploadFile):
            return await file.read()
        # file: app/limits.py
        class MaxBodySizeMiddleware: ...
    """,
        "a middleware limits every body",
    ),
    Good(
        """
        import shutil
        from tempfile import NamedTemporaryFile
        from fastapi import FastAPI, HTTPException, UploadFile

        app = FastAPI()
        MOST = 1_000_000

        @app.post("/a")
        async def a(file: UploadFile):
            file.file.seek(0, 2)
            if file.file.tell() > MOST:
                raise HTTPException(413)
            await file.seek(0)
            return await file.read()

        @app.post("/b")
        async def b(file: UploadFile):
            if len(content := await file.read(MOST + 1)) > MOST:
                raise HTTPException(413)
            return content

        @app.post("/c")
        def c(file: UploadFile):
            if file.size > MOST:
                raise HTTPException(413)
            with open("upload", "wb") as target:
                shutil.copyfileobj(file.file, target)

        @app.post("/d")
        def d(file: UploadFile):
            with NamedTemporaryFile() as target:
                shutil.copyfileobj(file.file, target)

        def copy(source, target):
            with open(source, "rb") as lines:
                shutil.copyfileobj(lines, target)
    """,
        "measured by its end before it is read, cut off while it is read, measured before it is copied, or copied for a while",
    ),
    Good(
        """
        from fastapi import FastAPI, UploadFile

        class Guard:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):
                if int(dict(scope["headers"]).get(b"content-length", 0)) > 1000:
                    raise ValueError("too large")
                await self.app(scope, receive, send)

        app = FastAPI()
        app.add_middleware(Guard)

        @app.post("/a")
        async def a(file: UploadFile):
            return await file.read()
    """,
        "a middleware of another name looks at the length",
    ),
    Good(
        """
        import shutil
        from fastapi import FastAPI, File, HTTPException, UploadFile

        app = FastAPI()
        MOST = 1_000_000

        def check_picture(picture: UploadFile):
            if picture.size is None or picture.size > MOST:
                raise HTTPException(413)

        class Pictures:
            def ensure_small(self, picture):
                picture.file.seek(0, 2)
                if picture.file.tell() > MOST:
                    raise HTTPException(413)
                picture.file.seek(0)

        def keep(picture: UploadFile, name: str):
            with open(name, "wb") as target:
                shutil.copyfileobj(picture.file, target)

        @app.post("/a")
        async def a(picture: UploadFile = File(...)):
            check_picture(picture)
            return await picture.read()

        @app.post("/b")
        async def b(picture: UploadFile = File(...)):
            Pictures().ensure_small(picture)
            return await picture.read()

        @app.post("/c")
        def c(picture: UploadFile = File(...)):
            check_picture(picture)
            keep(picture, "c")
    """,
        "a function measures it for who reads it, or for who has another read it",
    ),
    Bad("""
        import shutil
        from fastapi import FastAPI, UploadFile

        app = FastAPI()

        def is_small(picture: UploadFile):
            content = picture.file.read()  # found
            picture.file.seek(0)
            return len(content) < 1000

        def is_named(picture: UploadFile):
            return len(picture.filename) < 100

        def keep(picture: UploadFile):
            with open("kept", "wb") as target:
                shutil.copyfileobj(picture.file, target)

        def keep_all(picture: UploadFile):
            with open("all", "wb") as target:
                shutil.copyfileobj(picture.file, target)  # found

        @app.post("/a")
        def a(picture: UploadFile):
            if is_small(picture):
                keep(picture)

        @app.post("/b")
        async def b(picture: UploadFile):
            if is_named(picture):
                return await picture.read()  # found

        @app.post("/c")
        def c(picture: UploadFile):
            if is_small(picture):
                keep_all(picture)

        @app.post("/d")
        def d(picture: UploadFile):
            keep_all(picture)
    """),
]
