"""A coroutine computes on the event loop.

Hashing a password takes a tenth of a second by design; opening a spreadsheet or resizing an image takes as long as the file
likes. On the event loop every other request waits for it. `await` does not help: there is nothing to wait for.

Declare the endpoint with `def`, hand the work to `asyncio.to_thread`, or to a worker when it takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.check.knowledge import blocking, loop, work
from fastness.tool.check.knowledge.chains import told
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.calls import Outward


@rule(severity=Severity.WARNING, practice="4.1", help="declare it with `def`, or hand the work to a thread or a worker")
def check(service: Service) -> Iterator[Found]:
    entries = loop.entries(service)
    chains = service.graph.nearest([entry.function for entry in entries], _kind, through=loop.runs_here)
    for entry in entries:
        chain = chains.get(entry.function, {}).get("computes")
        if chain is not None:
            called = blocking.display(chain.last.target.path)
            message = f"async {entry.role} {entry.function.qualified} computes on the event loop: {called}"
            evidence = told(chain, "computes for milliseconds and more")
            yield found(entry.function, entry.function.node, message, *evidence, count=entry.routes)


def _kind(call: Outward) -> str | None:
    return "computes" if work.computes(call.target.path) and not call.site.awaited else None


EXAMPLES = [
    Good(
        """
        import bcrypt
        from fastapi import FastAPI

        app = FastAPI()

        async def hashed(text):
            return bcrypt.hashpw(text, b"")

        async def stored(text):
            return text

        WORK = {"hash": hashed, "store": stored}

        @app.post("/store")
        async def store(text: str, name: str = "store"):
            return await WORK[name](text)
    """,
        "which function of a table is called, only the key says",
    ),
    Bad("""
        import bcrypt
        from fastapi import FastAPI
        from starlette.authentication import AuthenticationBackend
        from starlette.middleware import Middleware
        from starlette.middleware.authentication import AuthenticationMiddleware

        class Keys(AuthenticationBackend):
            async def authenticate(self, conn):  # found
                bcrypt.checkpw(conn.headers["x-key"].encode(), b"")

        app = FastAPI(middleware=[Middleware(AuthenticationMiddleware, backend=Keys())])
    """),
    Bad("""
        from fastapi import FastAPI
        from langchain_community.document_loaders import PyMuPDFLoader, WebBaseLoader
        from transformers import AutoModelForCausalLM

        class Writer:
            def __init__(self):
                self.model = AutoModelForCausalLM.from_pretrained("small")

            def write(self, prompt):
                return self.model.generate(prompt)

        app = FastAPI()
        writer = Writer()

        @app.post("/pages")
        async def pages(path: str):  # found
            return PyMuPDFLoader(path).load()

        @app.post("/texts")
        async def texts(prompt: str):  # found
            return writer.write(prompt)

        @app.post("/sites")
        async def sites(url: str):
            return WebBaseLoader(url).load()

        @app.on_event("startup")
        async def load():
            app.state.writer = Writer()
    """),
    Bad("""
        # file: app/security.py
        from passlib.context import CryptContext

        pwd_context = CryptContext(schemes=["bcrypt"])

        def verify(plain, hashed):
            return pwd_context.verify(plain, hashed)
        # file: app/main.py
        from fastapi import FastAPI
        from app import security

        app = FastAPI()

        @app.post("/login")
        async def login(password: str):  # found
            return security.verify(password, "hash")
    """),
    Good("""
        import asyncio
        import bcrypt
        from fastapi import FastAPI

        app = FastAPI()

        @app.post("/login")
        def login(password: str):
            return bcrypt.checkpw(password.encode(), b"")

        @app.post("/register")
        async def register(password: str):
            return await asyncio.to_thread(bcrypt.hashpw, password.encode(), bcrypt.gensalt())
    """),
    Good(
        """
        import bcrypt
        from fastapi import Depends, FastAPI

        app = FastAPI()

        def password_matches(password: str) -> bool:
            return bcrypt.checkpw(password.encode(), b"")

        @app.post("/login")
        async def login(matches: bool = Depends(password_matches)):
            return matches
    """,
        "FastAPI runs a `def` dependency in a thread, whatever its endpoint is",
    ),
    Good(
        """
        import asyncio
        from concurrent.futures import ProcessPoolExecutor
        from functools import partial
        import pandas
        from anyio import to_thread
        from passlib.hash import bcrypt
        from fastapi import FastAPI

        app = FastAPI()
        pool = ProcessPoolExecutor()

        def summary(path):
            return pandas.read_csv(path).describe()

        @app.get("/report")
        async def report(path: str):
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, partial(bcrypt.verify, "password", "hash"))
            await to_thread.run_sync(lambda: summary(path))
            return await loop.run_in_executor(pool, summary, path)
    """,
        "handed to an executor by name, through a partial or inside of a function",
    ),
    Bad("""
        import hashlib
        from fastapi import BackgroundTasks, FastAPI
        from starlette.middleware.base import BaseHTTPMiddleware

        app = FastAPI()

        def digest():
            return hashlib.pbkdf2_hmac("sha256", b"", b"", 600_000)

        class Signed(BaseHTTPMiddleware):
            async def dispatch(self, request, call_next):  # found
                digest()
                return await call_next(request)

        class Pure:
            def __init__(self, app):
                self.app = app

            async def __call__(self, scope, receive, send):  # found
                digest()
                await self.app(scope, receive, send)

        async def later():  # found
            digest()

        async def refused(request, error):  # found
            digest()

        app.add_middleware(Signed)
        app.add_middleware(Pure)
        app.add_exception_handler(ValueError, refused)

        @app.post("/")
        async def create(tasks: BackgroundTasks):
            tasks.add_task(later)
    """),
]
