"""One model is both what clients send and what they get.

A field that the server owns must then be writable, or one that only clients know must be sent back: adding `created_at` to
the answer lets the next request set it, and a password in the input appears in the output.

Give each direction a model of its own; let them share a base.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from fastness.tool.check.knowledge.inputs.bodies import bodies, fields, shows_text
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import Elements, Instance, Values
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Class

_PASSWORDS = ("password", "hashed_password", "password_hash", "passwd")
# A client's own, of a payment or checkout, is made to be handed to it.
_SECRETS = re.compile(r"(?:webhook_|signing_|api_)?secret|(?:private|signing)_key")


@rule(severity=Severity.WARNING, practice="3.1", help="give input and output a model each, with a common base")
def check(service: Service) -> Iterator[Found]:
    seen = set()
    told: set[Class] = set()
    for route in service.routes:
        if route.handler in seen or route.handler.module.is_test:
            continue
        seen.add(route.handler)
        output = dict.fromkeys(_models(_response(service, route)))
        for model in dict.fromkeys([*output, *_held(service, output)]):
            if model not in told and (inherited := _sent_back(service, route, model)) is not None:
                told.add(model)
                base, node, name = inherited
                message = f"{model.name}, the response of {route.handler.qualified}, has the {name} of {base.name}"
                evidence = [proof(base, node, "inherited from here"), proof(model, model.node, "the model")]
                yield found(route.handler, route.handler.node, message, *evidence)
        for holder, parameter, model in bodies(service, route) if route.writes else ():
            if model in output:
                message = f"{model.name} is both the body and the response of {route.handler.qualified}"
                evidence = [proof(holder, parameter, "the body"), proof(model, model.node, "the model")]
                yield found(route.handler, route.handler.node, message, *evidence)


def _sent_back(service: Service, route: Route, model: Class) -> tuple[Class, ast.AST, str] | None:
    """A password that a model of answers has from a base: who added it thought of the input; or another secret that is read.

    What makes a secret may show it once.
    """
    if route.option("response_model_exclude") is not None or route.option("response_model_include") is not None:
        return None
    for name, (owner, node) in fields(service, model).items():
        wanted = name in _PASSWORDS or (not route.writes and _SECRETS.fullmatch(name) is not None)
        if wanted and owner is not model and shows_text(service, owner, node, "exclude", value=True):
            return owner, node, name
    return None


def _held(service: Service, models: Iterable[Class]) -> Iterator[Class]:
    """The models of an envelope's fields: `data: list[UserOut]`."""
    for model in models:
        for owner, node in fields(service, model).values():
            if isinstance(node, ast.AnnAssign):
                held = _models(service.resolver.annotation(node.annotation, owner))
                yield from (one for one in held if service.is_model(one))


def _response(service: Service, route: Route) -> Values:
    model = route.option("response_model")
    if model is not None:
        return service.resolver.annotation(model, route.scope)
    return service.resolver.annotation(route.handler.node.returns, route.handler.parent)


def _models(values: Values) -> Iterator[Class]:
    for value in values:
        if isinstance(value, Instance):
            yield value.definition
        elif isinstance(value, Elements):
            yield from _models(value.of)


EXAMPLES = [
    Bad("""
        from fastapi import FastAPI
        from pydantic import BaseModel

        class Item(BaseModel):
            name: str

        app = FastAPI()

        @app.post("/items", response_model=Item)
        def create(item: Item):  # found
            return item
    """),
    Bad("""
        from fastapi import FastAPI
        from pydantic import BaseModel

        class UserBase(BaseModel):
            email: str
            password: str

        class UserIn(UserBase):
            invitation: str

        class UserOut(UserBase):
            id: int

        app = FastAPI()

        @app.get("/users/{id}", response_model=UserOut)
        def read(id: int): ...  # found

        @app.post("/users", response_model=UserOut)
        def create(user: UserIn): ...
    """),
    Bad("""
        from fastapi import FastAPI
        from pydantic import BaseModel

        class HookBase(BaseModel):
            url: str
            secret: str | None = None

        class HookIn(HookBase): ...

        class HookOut(HookBase):
            id: int

        class Hooks(BaseModel):
            data: list[HookOut]

        app = FastAPI()

        @app.get("/hooks", response_model=Hooks)
        def hooks(): ...  # found

        @app.post("/hooks", response_model=HookOut)
        def create(hook: HookIn): ...
    """),
    Good("""
        from fastapi import Depends, FastAPI
        from pydantic import BaseModel

        class ItemIn(BaseModel):
            name: str

        class ItemOut(ItemIn):
            id: int

        class User(BaseModel):
            name: str

        def current_user() -> User: ...

        app = FastAPI()

        @app.post("/items", response_model=ItemOut)
        def create(item: ItemIn):
            return item

        @app.post("/me", response_model=User)
        def me(user: User = Depends(current_user)):
            return user

        @app.get("/items")
        def read() -> list[ItemOut]:
            return []
    """),
    Good(
        """
        from typing import Annotated
        from fastapi import FastAPI
        from pydantic import BaseModel, Field, SecretStr

        class Plain(BaseModel):
            password: str

        class Sent(Plain):
            id: int

        class Hidden(BaseModel):
            password: SecretStr
            hashed_password: Annotated[str, Field(exclude=True)]

        class Shown(Hidden):
            id: int

        app = FastAPI()

        @app.get("/users/{id}", response_model=Sent, response_model_exclude={"password"})
        def read(id: int): ...

        @app.get("/users")
        def every() -> list[Shown]: ...
    """,
        "the route, the field or its type leaves the password out",
    ),
    Good(
        """
        # file: app/main.py
        from fastapi import FastAPI
        from app import inputs, outputs

        app = FastAPI()

        @app.put("/items/{id}")
        def replace(id: int, item: inputs.Item) -> outputs.Item:
            return outputs.Item(id=id, name=item.name)
        # file: app/inputs.py
        from pydantic import BaseModel

        class Item(BaseModel):
            name: str
        # file: app/outputs.py
        from app import inputs

        class Item(inputs.Item):
            id: int
    """,
        "two models of one name, each for its direction",
    ),
    Good(
        """
        from fastapi import FastAPI
        from pydantic import BaseModel

        class Item(BaseModel):
            name: str

        class Receipt(BaseModel):
            id: int

        app = FastAPI()

        @app.post("/items", response_model=Receipt)
        def create(item: Item) -> Item:
            return item
    """,
        "what is sent is what `response_model` says, not what the function returns",
    ),
]
