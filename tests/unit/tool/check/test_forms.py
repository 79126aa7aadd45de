"""However a service hands its objects on, what holds the event loop is found, and what runs in a thread is not."""

import pytest

from fastness.tool.check.config import Config
from fastness.tool.check.engine import check
from fastness.tool.check.examples import project
from fastness.tool.check.rules import catalogue

COMMON = """
import time
from typing import Annotated, Protocol
from fastapi import APIRouter, Depends, FastAPI, Request
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session, sessionmaker
engine = create_engine("x")
SessionLocal = sessionmaker(engine)
class User: ...
def get_db():
    db = SessionLocal()
    try:
        yield db
    finally:
        db.close()
app = FastAPI()
"""
BLOCKING = {
    "repo_depends": """
class Repo:
    def __init__(self, db=Depends(get_db)):
        self.db = db
    def all(self):
        return self.db.query(User).all()
@app.get("/")
async def e(repo: Annotated[Repo, Depends()]):
    return repo.all()
""",
    "app_state": """
class Service:
    def all(self):
        time.sleep(1)
app.state.service = Service()
@app.get("/")
async def e(request: Request):
    return request.app.state.service.all()
""",
    "cbv": """
from fastapi_utils.cbv import cbv
router = APIRouter()
@cbv(router)
class C:
    db: Session = Depends(get_db)
    @router.get("/")
    async def e(self):
        return self.db.query(User).all()
app.include_router(router)
""",
    "with_get_db": """
from contextlib import contextmanager
@contextmanager
def session_scope():
    s = SessionLocal()
    yield s
    s.commit()
@app.get("/")
async def e():
    with session_scope() as s:
        return s.execute(select(User)).all()
""",
    "next_get_db": """
@app.get("/")
async def e():
    db = next(get_db())
    return db.query(User).all()
""",
    "partial": """
from functools import partial
def work(n): time.sleep(n)
slow = partial(work, 1)
@app.get("/")
async def e():
    slow()
""",
    "lambda_dep": """
class Service:
    def all(self): time.sleep(1)
@app.get("/")
async def e(s: Service = Depends(lambda: Service())):
    s.all()
""",
    "factory_router": """
class Service:
    def all(self): time.sleep(1)
def make(service: Service) -> APIRouter:
    router = APIRouter()
    @router.get("/")
    async def e():
        return service.all()
    return router
app.include_router(make(Service()))
""",
    "add_api_route": """
async def e():
    time.sleep(1)
app.add_api_route("/", e, methods=["GET"])
""",
    "class_router": """
class Controller:
    def __init__(self):
        self.router = APIRouter()
        self.router.add_api_route("/", self.e, methods=["GET"])
    async def e(self):
        time.sleep(1)
app.include_router(Controller().router)
""",
    "dishka": """
from dishka.integrations.fastapi import FromDishka, inject
from dishka import Provider, provide, Scope
class Service:
    def all(self): time.sleep(1)
@app.get("/")
@inject
async def e(service: FromDishka[Service]):
    service.all()
""",
    "type_alias": """
from typing import TypeAlias
DB: TypeAlias = Annotated[Session, Depends(get_db)]
@app.get("/")
async def e(db: DB):
    return db.execute(select(User))
""",
    "protocol": """
class Store(Protocol):
    def all(self): ...
class Sql:
    def all(self): time.sleep(1)
def store() -> Store:
    return Sql()
@app.get("/")
async def e(s: Annotated[Store, Depends(store)]):
    s.all()
""",
    "generic_repo": """
from typing import Generic, TypeVar
T = TypeVar("T")
class Base(Generic[T]):
    def __init__(self, db: Session): self.db = db
    def all(self): return self.db.execute(select(User)).all()
class Users(Base[User]): ...
def users(db: Session = Depends(get_db)): return Users(db)
@app.get("/")
async def e(repo: Users = Depends(users)):
    return repo.all()
""",
    "crud_object": """
class CRUD:
    def __init__(self, model): self.model = model
    def get(self, db, id): return db.query(self.model).filter(self.model.id == id).first()
user = CRUD(User)
@app.get("/")
async def e(id: int, db: Session = Depends(get_db)):
    return user.get(db, id)
""",
    "crud_db_keyword": """
class CRUD:
    def get(self, *, db, id): return db.query(User).first()
user = CRUD()
@app.get("/")
async def e(id: int, db=Depends(get_db)):
    return user.get(db=db, id=id)
""",
    "middleware_http": """
@app.middleware("http")
async def m(request, call_next):
    with SessionLocal() as s:
        s.execute(select(User))
    return await call_next(request)
@app.get("/")
async def e(): return 1
""",
    "base_middleware": """
from starlette.middleware.base import BaseHTTPMiddleware
class M(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        time.sleep(1)
        return await call_next(request)
app.add_middleware(M)
@app.get("/")
async def e(): return 1
""",
    "exception_handler": """
@app.exception_handler(ValueError)
async def h(request, exc):
    time.sleep(1)
@app.get("/")
async def e(): return 1
""",
    "async_dep": """
async def user(db: Session = Depends(get_db)):
    return db.query(User).first()
@app.get("/")
def e(u=Depends(user)): return 1
""",
    "security_dep": """
from fastapi import Security
from fastapi.security import OAuth2PasswordBearer
import requests
async def user(token: str = Security(OAuth2PasswordBearer("t"))):
    return requests.get("http://x", timeout=3).json()
@app.get("/")
def e(u=Security(user)): return 1
""",
    "class_dep_call": """
class Checker:
    async def __call__(self, request: Request):
        time.sleep(1)
@app.get("/", dependencies=[Depends(Checker())])
def e(): return 1
""",
    "websocket": """
from fastapi import WebSocket
@app.websocket("/")
async def e(ws: WebSocket):
    await ws.accept()
    time.sleep(1)
""",
    "lifespan_bg": """
import asyncio
from contextlib import asynccontextmanager
async def poll():
    while True:
        time.sleep(1)
        await asyncio.sleep(1)
@asynccontextmanager
async def lifespan(app):
    t = asyncio.create_task(poll())
    yield
    t.cancel()
app = FastAPI(lifespan=lifespan)
@app.get("/")
def e(): return 1
""",
    "super_call": """
class Base:
    def run(self): time.sleep(1)
class Child(Base):
    def run(self):
        return super().run()
@app.get("/")
async def e(): Child().run()
""",
    "strategy_dict": """
def slow(): time.sleep(1)
table = {"a": slow}
@app.get("/")
async def e(k: str): return table[k]()
""",
    "comprehension": """
def slow(x): time.sleep(1)
@app.get("/")
async def e(): return [slow(x) for x in range(3)]
""",
    "staticmethod": """
class S:
    @staticmethod
    def run(): time.sleep(1)
    @classmethod
    def go(cls): return cls.run()
@app.get("/")
async def e(): S.go()
""",
    "singleton_new": """
class S:
    _i = None
    def __new__(cls):
        if cls._i is None: cls._i = super().__new__(cls)
        return cls._i
    def run(self): time.sleep(1)
@app.get("/")
async def e(): S().run()
""",
    "get_instance": """
class S:
    _i = None
    @classmethod
    def instance(cls):
        if cls._i is None: cls._i = cls()
        return cls._i
    def run(self): time.sleep(1)
@app.get("/")
async def e(): S.instance().run()
""",
    "global_lazy": """
class S:
    def run(self): time.sleep(1)
_s = None
def get():
    global _s
    if _s is None: _s = S()
    return _s
@app.get("/")
async def e(): get().run()
""",
    "async_gen_stream": """
from fastapi.responses import StreamingResponse
async def gen():
    for i in range(3):
        time.sleep(1)
        yield b"x"
@app.get("/")
def e(): return StreamingResponse(gen())
""",
    "nested_async": """
@app.get("/")
async def e():
    async def inner():
        time.sleep(1)
    return await inner()
""",
    "gather": """
import asyncio
async def one(): time.sleep(1)
@app.get("/")
async def e():
    await asyncio.gather(one(), one())
""",
    "retry_decorator": """
from tenacity import retry, stop_after_attempt
@retry(stop=stop_after_attempt(3))
def load(): time.sleep(1)
@app.get("/")
async def e(): load()
""",
    "lru_cache": """
from functools import lru_cache
class S:
    def run(self): time.sleep(1)
@lru_cache
def get_s(): return S()
@app.get("/")
async def e(s=Depends(get_s)): s.run()
""",
    "uow": """
class UoW:
    def __enter__(self):
        self.session = SessionLocal()
        return self
    def __exit__(self, *a): self.session.close()
def uow(): return UoW()
@app.get("/")
async def e(u: UoW = Depends(uow)):
    with u:
        return u.session.query(User).all()
""",
    "async_ctx_sync_session": """
from contextlib import asynccontextmanager
@asynccontextmanager
async def scope():
    s = SessionLocal()
    try: yield s
    finally: s.close()
@app.get("/")
async def e():
    async with scope() as s:
        return s.query(User).all()
""",
    "dataclass_service": """
from dataclasses import dataclass
class Repo:
    def __init__(self, db): self.db = db
    def all(self): return self.db.query(User).all()
@dataclass
class Service:
    repo: Repo
    def run(self): return self.repo.all()
def service(db: Session = Depends(get_db)): return Service(repo=Repo(db))
@app.get("/")
async def e(s: Service = Depends(service)): return s.run()
""",
    "state_lifespan": """
from contextlib import asynccontextmanager
class S:
    def run(self): time.sleep(1)
@asynccontextmanager
async def lifespan(app):
    app.state.s = S()
    yield
app = FastAPI(lifespan=lifespan)
def get_s(request: Request): return request.app.state.s
@app.get("/")
async def e(s=Depends(get_s)): s.run()
""",
    "state_yield": """
from contextlib import asynccontextmanager
class S:
    def run(self): time.sleep(1)
@asynccontextmanager
async def lifespan(app):
    yield {"s": S()}
app = FastAPI(lifespan=lifespan)
@app.get("/")
async def e(request: Request): request.state.s.run()
""",
    "injector": """
from fastapi_injector import Injected
class S:
    def slow(self): time.sleep(1)
@app.get("/")
async def e(s: S = Injected(S)): return s.slow()
""",
    "startup_none_global": """
class S:
    def slow(self): time.sleep(1)
service: S | None = None
@app.on_event("startup")
def start():
    global service
    service = S()
@app.get("/")
async def e(): return service.slow()
""",
    "router_subclass": """
class Api(APIRouter): ...
router = Api()
@router.get("/")
async def e(): time.sleep(1)
app.include_router(router)
""",
    "api_route": """
@app.api_route("/", methods=["GET", "POST"])
async def e(): time.sleep(1)
""",
    "sub_app": """
sub = FastAPI()
@sub.get("/")
async def e(): time.sleep(1)
app.mount("/s", sub)
""",
    "container": """
from dependency_injector import containers, providers
from dependency_injector.wiring import Provide, inject
class Service:
    def all(self):
        time.sleep(1)
class Container(containers.DeclarativeContainer):
    service = providers.Singleton(Service)
@app.get("/")
@inject
async def e(service=Depends(Provide[Container.service])):
    return service.all()
""",
    "container_called": """
from dependency_injector import containers, providers
class Service:
    def all(self):
        time.sleep(1)
class Container(containers.DeclarativeContainer):
    service = providers.Singleton(Service)
container = Container()
@app.get("/")
async def e():
    return container.service().all()
""",
    "state_of_middleware": """
@app.middleware("http")
async def session(request: Request, call_next):
    request.state.db = SessionLocal()
    return await call_next(request)
@app.get("/")
async def e(request: Request):
    return request.state.db.query(User).all()
""",
}
FINE = {
    "sync_gen_stream": """
from fastapi.responses import StreamingResponse
def gen():
    for i in range(3):
        time.sleep(1)
        yield b"x"
@app.get("/")
async def e(): return StreamingResponse(gen())
""",
    "sync_gen_stream_def": """
from fastapi.responses import StreamingResponse
def gen():
    for i in range(3):
        time.sleep(1)
        yield b"x"
@app.get("/")
def e(): return StreamingResponse(gen())
""",
    "state_async": """
import httpx
app.state.client = httpx.AsyncClient()
@app.get("/")
async def e(request: Request): return await request.app.state.client.get("x")
""",
    "state_sync_in_def": """
import httpx
app.state.client = httpx.Client()
@app.get("/")
def e(request: Request): return request.app.state.client.get("x")
""",
    "next_dict": """
@app.get("/")
async def e(): return next((u for u in [1, 2]), None)
""",
    "sync_dep": """
def user(db: Session = Depends(get_db)): return db.query(User).first()
@app.get("/")
async def e(u=Depends(user)): return u
""",
}


def _found(source: str) -> list[str]:
    report = check(project({"main.py": COMMON + source}), Config(), rules=[catalogue()["concurrency/blocking-call-in-async"]])
    assert not report.failures
    assert not report.not_checked
    return [finding.message for finding in report.findings]


@pytest.mark.parametrize("form", BLOCKING)
def test_what_holds_the_loop_is_found(form: str) -> None:
    """Each form has one call that holds it: the session of the database, or `time.sleep`."""
    (message,) = _found(BLOCKING[form])
    assert "blocks the event loop" in message


@pytest.mark.parametrize("form", FINE)
def test_what_does_not_is_not(form: str) -> None:
    """It is awaited, or Starlette runs it in a thread."""
    assert _found(FINE[form]) == []
