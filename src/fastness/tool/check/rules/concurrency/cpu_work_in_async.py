"""A coroutine computes on the event loop.

Hashing a password takes a tenth of a second by design; opening a spreadsheet or resizing an image takes as long as the file
likes. On the event loop every other request waits for it. `await` does not help: there is nothing to wait for.

Declare the endpoint with `def`, hand the work to `asyncio.to_thread`, or to a worker when it takes seconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from fastness.tool.check.knowledge.facts.chains import told
from fastness.tool.check.knowledge.running import blocking, loop, work
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.flow.calls import Outward


@rule(severity=Severity.WARNING, practice="4.1", help="declare it with `def`, or hand the work to a thread or a worker")
def check(service: Service) -> Iterator[Found]:
    entries = loop.entries(service)
    chains = service.graph.nearest([entry.function for entry in entries], _kind, through=partial(loop.runs_here, service))
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
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
        from fastapi import FastAPI
        from fpdf import FPDF
        app = FastAPI()
        class Invoice(FPDF): ...
        @app.get("/invoices/{number}")
        async def invoice(number: str):  # found
            page = Invoice()
            page.cell(0, 10, number)
            return bytes(page.output())
        @app.post("/keys")
        async def key(word: str):  # found
            return Scrypt(salt=b"s", length=32, n=2**14, r=8, p=1).derive(word.encode())
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
    Bad("""
        import asyncio
        import openpyxl
        from apscheduler.schedulers.asyncio import AsyncIOScheduler
        from fastapi import FastAPI
        from fastapi_utils.tasks import repeat_every

        app = FastAPI()
        scheduler = AsyncIOScheduler()

        class Monitor:
            async def watch(self):  # found
                while True:
                    openpyxl.load_workbook("a.xlsx")
                    await asyncio.sleep(300)

            def start(self):
                asyncio.create_task(self.watch())

        async def job():  # found
            openpyxl.load_workbook("a.xlsx")

        @scheduler.scheduled_job("interval", minutes=1)
        async def other():  # found
            openpyxl.load_workbook("a.xlsx")

        @repeat_every(seconds=60)
        async def again():  # found
            openpyxl.load_workbook("a.xlsx")

        @app.on_event("startup")
        async def start():
            scheduler.add_job(job, "interval", minutes=1)
            Monitor().start()
    """),
    Bad("""
        import openpyxl
        from fastapi import FastAPI

        app = FastAPI()
        workers, worker = {}, None

        class Worker:
            def __init__(self):
                global worker
                worker = self

            def run(self): ...

        class Slow(Worker):
            def run(self):
                openpyxl.load_workbook("a.xlsx")

        def retried(function):
            return function()

        def opened(mode, path=None):
            if mode == "now":
                openpyxl.load_workbook("a.xlsx")
            if path:
                openpyxl.load_workbook(path)

        @app.on_event("startup")
        def start():
            workers["slow"] = Slow()

        @app.get("/one")
        async def one(name: str):  # found
            workers[name].run()

        @app.get("/main")
        async def main():  # found
            worker.run()

        @app.get("/retried")
        async def again():  # found
            retried(Slow().run)

        @app.get("/now")
        async def now():  # found
            opened("now")

        @app.get("/opens")
        async def opens(path: str):  # found
            opened("go", path)
    """),
    Good(
        """
        import openpyxl
        from contextlib import contextmanager
        from fastapi import FastAPI
        from fastapi.responses import StreamingResponse
        from starlette.concurrency import run_in_threadpool

        app = FastAPI()

        @contextmanager
        def profile(mode, images=None):
            if mode == "write":
                openpyxl.load_workbook("a.xlsx")
            for one in images or []:
                openpyxl.load_workbook(one)
            yield openpyxl.load_workbook("a.xlsx") if mode in ("write", "both") else None
            if not images:
                return
            openpyxl.load_workbook("a.xlsx")

        def parts():
            yield openpyxl.load_workbook("a.xlsx")

        @app.get("/stream")
        async def stream():
            return StreamingResponse(parts())

        @app.get("/named")
        async def named():
            made = parts()
            return StreamingResponse(made)

        async def in_thread(function, *given):
            return await run_in_threadpool(function, *given)

        @app.get("/profile")
        async def read():
            with profile("read"):
                return await in_thread(openpyxl.load_workbook, "a.xlsx")
    """,
        "with these literals nothing is computed, and threads run what they and a response are given",
    ),
    Good(
        """
        import asyncio
        import openpyxl
        from apscheduler.schedulers.asyncio import AsyncIOScheduler
        from apscheduler.schedulers.background import BackgroundScheduler
        from fastapi import FastAPI

        app = FastAPI()
        scheduler = AsyncIOScheduler()

        def job():
            openpyxl.load_workbook("a.xlsx")

        async def elsewhere():
            openpyxl.load_workbook("a.xlsx")

        async def work():
            await asyncio.to_thread(job)

        def alone():
            AsyncIOScheduler().add_job(elsewhere)

        @app.on_event("startup")
        async def start():
            openpyxl.load_workbook("a.xlsx")
            scheduler.add_job(job, "interval", minutes=1)
            BackgroundScheduler().add_job(elsewhere)
            asyncio.create_task(work())

        if __name__ == "__main__":
            alone()
            asyncio.run(elsewhere())
    """,
        "a plain job runs in a thread, and what is started elsewhere serves no requests",
    ),
]
