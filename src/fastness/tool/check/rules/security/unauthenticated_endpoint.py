"""One endpoint is open where its siblings are guarded.

Most of this router's operations ask who is calling, and this one does not. That is how a new endpoint leaks: it was copied,
the guard was forgotten, every test passes.

Siblings are the operations of one file; those of a file in which nothing asks are all others below the same router, or
below `/admin`. What its documentation calls public, or open without a login, is for all.

Put the guard on the router, so that a new endpoint has it; make what is public say so, in a router of its own. When the app
is booted, the dependencies that its routes really have decide.
"""

from __future__ import annotations

from collections.abc import Iterator

from fastness.tool.check.knowledge.access import guards
from fastness.tool.check.knowledge.access.siblings import below, open_ones
from fastness.tool.check.knowledge.facts.served import Served
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service


@rule(severity=Severity.WARNING, practice="6.1", help="guard the router, and put what is public in a router of its own")
def check(service: Service, served: Served | None) -> Iterator[Found]:
    if guards.stand_in_front(service, served):
        return  # everything is guarded, or exempt, in one place
    fronted = list(guards.in_front(service))
    if None in fronted:
        return
    refused = {route for app in fronted if app is not None for route in below(app)}
    for one in (one for one in open_ones(service, served) if one.route not in refused):
        route, example = one.route, one.guarded[0]
        message = f"{'/'.join(sorted(route.methods))} {route.path} ({route.handler.qualified}) {guards.lacks(service, route)}"
        message += f"; {one.compared}"
        evidence = [proof(example.handler, example.handler.node, "a guarded sibling")]
        evidence += [proof(other.handler, other.handler.node, "this one neither") for other in one.others]
        yield found(
            route.handler,
            route.handler.node,
            message,
            *evidence,
            count=1 + len(one.others),
            source="boot" if served is not None and served.routes(route.handler) else None,
        )


EXAMPLES = [
    Bad("""
        from fastapi import APIRouter, Depends
        router = APIRouter()
        def current_user(): ...
        @router.get("/items")
        def items(user=Depends(current_user)): ...
        @router.post("/items")
        def create(user=Depends(current_user)): ...
        def load(): ...
        @router.get("/items/all")
        def everything():  # found
            return load()
        @router.put("/items/token_check")
        def check(name: str): ...  # found
    """),
    Bad("""
        from typing import Annotated
        from fastapi import APIRouter, Depends
        from fastapi.security import HTTPBearer
        router = APIRouter()
        def current_user(token=Depends(HTTPBearer(auto_error=False))):
            if not token:
                return None
            return token

        User = Annotated[str | None, Depends(current_user)]
        def update(name, user):
            return user and name
        def store(name, user): ...
        @router.put("/items")
        def put(name: str, user: User):
            return update(name, user)
        @router.delete("/items")
        def delete(name: str, user: User):
            return user.id
        @router.post("/items")
        def create(name: str, user: User):  # found
            return store(name, user=user)
    """),
    Bad("""
        # file: app/main.py
        from fastapi import APIRouter
        from app import breaks, deposits, forms, orders, products, stores

        api = APIRouter(prefix="/api")
        api.include_router(orders.router)
        api.include_router(products.router)
        api.include_router(stores.router)
        api.include_router(breaks.router)
        api.include_router(forms.router)
        api.include_router(deposits.router)
        # file: app/orders.py
        from fastapi import APIRouter, Security
        router = APIRouter(prefix="/orders", dependencies=[Security(str)])
        @router.post("")
        def order(text: str): ...
        router.put("/{id}")(order)
        router.patch("/{id}")(order)
        router.delete("/{id}")(order)
        # file: app/products.py
        from fastapi import APIRouter, Security
        router = APIRouter(prefix="/products", dependencies=[Security(str)])
        @router.put("/{id}")
        def replace(id: int): ...
        router.post("")(replace)
        router.patch("/{id}")(replace)
        router.delete("/{id}")(replace)
        # file: app/stores.py
        from fastapi import APIRouter, Security
        router = APIRouter(prefix="/stores", dependencies=[Security(str)])
        @router.delete("/{id}")
        def close(id: int): ...
        router.put("/{id}")(close)
        router.post("")(close)
        router.patch("/{id}")(close)
        # file: app/breaks.py
        from fastapi import APIRouter, Depends
        from somewhere import is_known
        router = APIRouter(prefix="/stores/{store}")
        @router.delete("/breaks/{id}")
        def end(store: int, id: int): ...  # found
        @router.post("/answers")
        def answer(store: int, text: str): ...
        @router.get("/customers")
        def customers(store: int, _=Depends(is_known)): ...
        # file: app/forms.py
        from fastapi import APIRouter, Security
        router = APIRouter(prefix="/forms")
        @router.get("/all", dependencies=[Security(str)])
        def every(): ...
        @router.post("/mails")
        def send_mail(to: str): ...  # found
        @router.put("/webhooks/{id}")
        def call(id: int): ...
        # file: app/deposits.py
        from fastapi import APIRouter

        router = APIRouter(prefix="/deposits")

        @router.post("")
        def pay(order_id: int, amount: int): ...  # found
    """),
    Bad("""
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.responses import JSONResponse
        from starlette.middleware.authentication import AuthenticationMiddleware
        app = FastAPI()
        app.add_middleware(AuthenticationMiddleware)
        router = APIRouter()
        def current_user(): ...
        def load(): ...
        @router.get("/items")
        def items():
            return load()
        router.get("/items/new")(items)
        router.get("/items/{id}")(items)
        @router.post("/items")
        def create(user=Depends(current_user)): ...
        @router.put("/items/{id}")
        def change(id: int, user=Depends(current_user)): ...
        @router.delete("/items/{id}")
        def delete(id: int): ...  # found
        router.patch("/items/{id}")(change)
        @router.post("/users")
        def register_user(name: str): ...
        @router.post("/items/all")
        def gone():
            return JSONResponse(status_code=410, content={"detail": "gone"})
    """),
    Bad("""
        from fastapi import APIRouter, Depends
        from fastapi.security import HTTPBearer
        from fastapi_jwt_auth import AuthJWT
        router = APIRouter(dependencies=[Depends(HTTPBearer())])
        def load(): ...
        @router.get("/orders")
        def orders(auth: AuthJWT = Depends()):
            auth.jwt_required()
        @router.get("/items")
        def items(auth: AuthJWT = Depends()):
            auth.jwt_required()
        router.get("/prices")(items)
        router.get("/refunds")(items)
        @router.get("/reports")
        def reports():  # found
            return load()
    """),
    Bad(
        """
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.security import HTTPBearer

        bearer = HTTPBearer()
        app = FastAPI()
        router = APIRouter()
        def guarded():
            return [Depends(bearer)]
        @router.get("/a", dependencies=guarded())
        def a() -> int: ...
        @router.get("/b", dependencies=guarded())
        def b() -> int: ...
        @router.delete("/c/{number}")
        def c(number: int) -> int:  # found
            return number
        app.include_router(router)
    """,
        booted=True,
    ),
    Good(
        """
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.security import HTTPBearer

        bearer = HTTPBearer()
        app = FastAPI()
        router = APIRouter()
        @router.get("/a", dependencies=[Depends(bearer)])
        def a() -> int: ...
        @router.get("/b", dependencies=[Depends(bearer)])
        def b() -> int: ...
        @router.delete("/c/{number}")
        def c(number: int) -> int:
            return number

        for included, options in ((router, {"dependencies": [Depends(bearer)]}),):
            app.include_router(included, **options)
    """,
        "the booted route has the guard that the sources do not show",
        booted=True,
    ),
    Good("""
        from typing import Annotated
        from fastapi import APIRouter, Depends, FastAPI
        from fastapi.security import HTTPBearer

        bearer = HTTPBearer()
        router = APIRouter(dependencies=[Depends(bearer)])
        mixed = APIRouter()
        def current_user(): ...
        class Common:
            def __init__(self, user=Depends(current_user)): ...
        @router.get("/items")
        def items(): ...
        @mixed.get("/a")
        def a(common: Annotated[Common, Depends()]): ...
        @mixed.get("/b", dependencies=[Depends(current_user)])
        def b(): ...
        @mixed.post("/login")
        def login(name: str): ...
        @mixed.get("/motd")
        def motd():
            return {"message": "hello"}
        app = FastAPI()
        app.include_router(router)
    """),
    Good(
        """
        from fastapi import APIRouter, Depends, Request
        router = APIRouter()
        def current_user(): ...
        def load(): ...
        @router.get("/{username}/posts")
        def posts(): ...
        @router.post("/posts")
        def create(user=Depends(current_user)): ...
        @router.delete("/posts/{id}")
        def delete(id: int, user=Depends(current_user)): ...
        router.get("/posts/mine")(create)
        router.get("/admin/posts")(create)
        @router.get("/{username}/posts/defaults")
        def defaults(): ...
        @router.post("/guest-posts")
        def of_guest(text: str): ...
        @router.post("/lists")
        def keep(request: Request):
            return load() if request.user.is_authenticated else None
    """,
        "what only some may write, everybody may read; guests and strangers are thought of",
    ),
    Good(
        """
        from fastapi import APIRouter, Depends, HTTPException
        router = APIRouter()
        def current_user(): ...
        def is_known(request): ...
        @router.get("/users")
        def users(user=Depends(current_user)): ...
        @router.post("/users")
        def create(user=Depends(current_user)): ...
        def refuse(request):
            raise HTTPException(status_code=401)
        def login(request):
            refuse(request)
            if request.is_new:
                return None
            return request.user
        @router.get("/users/new")
        def new(user=Depends(login)): ...
        @router.get("/users/export")
        def export(request):
            if not is_known(request):
                raise HTTPException(status_code=401)
    """,
        "the endpoint refuses strangers itself, or what its dependency calls does",
    ),
    Good(
        """
        from typing import Annotated
        from fastapi import APIRouter, Depends, Header
        router = APIRouter()
        def current_user(): ...
        def find(number, key): ...
        @router.get("/payments")
        def payments(user=Depends(current_user)): ...
        @router.post("/payments")
        def pay(user=Depends(current_user)): ...
        @router.get("/payments/{number}")
        def payment(number: int, x_api_key: str | None = Header(None)):
            return find(number, x_api_key)

        @router.get("/payments/{number}/status")
        def state(number: int, authorization: Annotated[str | None, Header()] = None):
            return find(number, authorization)
    """,
        "it takes the key itself, and shows strangers less",
    ),
    Bad(
        """
        # file: app/main.py
        from fastapi import FastAPI
        from fastapi.responses import JSONResponse
        from app import items
        from app.auth import Auth

        app, other = FastAPI(), FastAPI()
        app.include_router(items.router)

        @other.middleware("http")
        async def known(request, call_next):
            return await Auth().middleware(request, call_next)

        @app.middleware("http")
        async def admins(request, call_next):
            if request.url.path.startswith("/admin") and "Authorization" not in request.headers:
                return JSONResponse({}, status_code=401)
            return await call_next(request)
        # file: app/auth.py
        from fastapi.responses import JSONResponse

        class Auth:
            async def middleware(self, request, call_next):
                if "Authorization" not in request.headers:
                    return JSONResponse({}, status_code=401)
                return await call_next(request)
        # file: app/items.py
        from fastapi import APIRouter, Depends

        router = APIRouter()

        def current_user(): ...

        @router.post("/items")
        def create(user=Depends(current_user)): ...

        @router.put("/items/{id}")
        def change(id: int, user=Depends(current_user)): ...

        @router.delete("/items/{id}")
        def delete(id: int): ...  # found
    """
    ),
    Good(
        """
        # file: app/main.py
        from fastapi import FastAPI
        from app import items
        from app.auth import Auth

        app = FastAPI()
        app.include_router(items.router)

        @app.middleware("http")
        async def known(request, call_next):
            return await Auth().middleware(request, call_next)
        # file: app/auth.py
        from fastapi.responses import JSONResponse

        class Auth:
            async def middleware(self, request, call_next):
                if request.url.path not in ("/login", "/items") and not request.headers.get("Authorization"):
                    return JSONResponse({}, status_code=401)
                return await call_next(request)
        # file: app/items.py
        from fastapi import APIRouter, Depends

        router = APIRouter()

        def current_user(): ...

        @router.post("/items")
        def create(user=Depends(current_user)): ...

        @router.put("/items/{id}")
        def change(id: int, user=Depends(current_user)): ...

        @router.delete("/items/{id}")
        def delete(id: int): ...
    """,
        "a middleware of this app has somebody refuse strangers",
    ),
]
