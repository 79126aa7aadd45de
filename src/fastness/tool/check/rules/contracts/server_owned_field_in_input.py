"""A client may set what only the server knows.

A body with `created_at` lets a client rewrite history, one with `is_superuser` lets it promote itself: the model was made
for the table or the response, and is now the input. FastAPI does what the model says.

Leave the field out of the input model; the service sets it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.inputs.bodies import bodies, fields, is_left_out
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.routes import Route
from fastness.tool.project.source.symbols import Class, Function

_ALWAYS = frozenset(
    {"created_at", "updated_at", "deleted_at", "hashed_password", "password_hash", "date_created", "date_updated"}
)
_PRIVILEGE = re.compile(
    r"is_superuser|is_admin|is_staff|(?:is_)?(?:email_|phone_)?verified|is_locked|locked_until|(?:\w+_)?(?:failed|login)_attempts"
    r"|balance|tenant_id|owner_id"
    r"|(?:approved|rejected|verified|restricted|blocked|banned|suspended|moderated)_(?:at|by|by_id)|(?:\w+_)?approval_required"
)
# What callers may do to themselves makes none of them an administrator: `/me`, `required_permissions=["self.update"]`.
_OWN = re.compile(r"(?:^|/)(?:me|self|myself)(?:/|$)")
_OWN_RIGHT = re.compile(r"""["'](?:self|own|me|my)[.:_][\w.:]*["']""")
_ADMIN = re.compile(r"admin|super|staff|internal|private|permission|role|scope|system|import|sync|migrate", re.IGNORECASE)

_ADMINISTERS = re.compile(r"admin|super|staff|internal|system", re.IGNORECASE)


@rule(severity=Severity.WARNING, practice="3.1", help="leave it out of the input model, and let the service set it")
def check(service: Service) -> Iterator[Found]:
    by_model: dict[Class, list[tuple[Route, list[str]]]] = {}
    for route in service.routes:
        if route.writes and not route.handler.module.is_test:
            for *_, model in bodies(service, route):
                owned = _owned(service, route, model)
                if owned:
                    by_model.setdefault(model, []).append((route, owned))
    for model, uses in by_model.items():
        route, owned = uses[0]
        holder, node = fields(service, model)[owned[0]]
        evidence = [proof(holder, node, f"{owned[0]} is a field of the input")]
        evidence += [proof(other.handler, other.handler.node, "takes it too") for other, _ in uses[1:]]
        message = f"{route.handler.qualified} lets clients set {', '.join(owned)} through {model.name}"
        yield found(route.handler, route.handler.node, message, *evidence, count=len(uses))


def _owned(service: Service, route: Route, model: Class) -> list[str]:
    names = {name for name, (owner, node) in fields(service, model).items() if not is_left_out(service, owner, node)}
    privileges = {name for name in names if _PRIVILEGE.fullmatch(name) and not _is_set_here(route.handler, name)}
    return sorted((names & _ALWAYS) | (privileges if privileges and not _for_admins(service, route) else set()))


def _is_set_here(handler: Function, name: str) -> bool:
    """The endpoint takes the value from somewhere else, the caller's own for one."""
    return name in handler.bindings or any(keyword.arg == name for site in handler.calls for keyword in site.node.keywords)


def _for_admins(service: Service, route: Route) -> bool:
    paths = [route.path or "", *service.prefixes(route)]
    texts = [*paths, route.handler.name]
    administers = _ADMINISTERS if any(map(_OWN.search, paths)) else _ADMIN
    for dependency in service.tree(route):
        node = ast.unparse(dependency.node)
        if not _OWN_RIGHT.search(node):
            texts += [getattr(dependency.target, "name", ""), node]
    return any(administers.search(text) for text in texts)


EXAMPLES = [
    Bad("""
        from datetime import datetime
        from fastapi import FastAPI
        from pydantic import BaseModel

        class Base(BaseModel):
            created_at: datetime

        class Create(Base):
            name: str

        class Profile(BaseModel):
            is_superuser: bool

        app = FastAPI()

        @app.post("/items")
        def create(item: Create):  # found
            return 1

        @app.patch("/me")
        def update(profile: Profile):  # found
            return 1
    """),
    Bad("""
        from fastapi import FastAPI
        from pydantic import BaseModel

        class Guest(BaseModel):
            name: str
            restricted_by_id: int | None = None
            management_approval_required: bool = False

        app = FastAPI()

        @app.post("/guests")
        def create(guest: Guest):  # found
            return guest.name
    """),
    Bad("""
        from fastapi import Depends, FastAPI
        from pydantic import BaseModel

        class Account(BaseModel):
            name: str
            verified: bool = False
            locked_until: str | None = None

        def caller(required_permissions=()):
            def check(token: str): ...

            return check

        app = FastAPI()

        @app.put("/me")
        def update(account: Account, user=Depends(caller(required_permissions=["self.update"]))): ...  # found
    """),
    Good("""
        from datetime import datetime
        from fastapi import Depends, FastAPI
        from pydantic import BaseModel

        class Item(BaseModel):
            name: str

        class ItemOut(Item):
            created_at: datetime

        class UserUpdate(BaseModel):
            is_superuser: bool

        def get_current_superuser(): ...

        app = FastAPI()

        @app.post("/items", response_model=ItemOut)
        def create(item: Item):
            return item

        @app.patch("/users/{id}", dependencies=[Depends(get_current_superuser)])
        def update(id: int, user: UserUpdate):
            return id

        def caller(required_permissions=()): ...

        @app.put("/users/{id}", dependencies=[Depends(caller(required_permissions=["users.update"]))])
        def replace(id: int, user: UserUpdate): ...
    """),
    Good(
        """
        from fastapi import Depends, FastAPI
        from pydantic import BaseModel

        class Settings(BaseModel):
            tenant_id: str
            name: str

        def caller(): ...

        def store(tenant_id, settings): ...

        app = FastAPI()

        @app.put("/settings")
        def update(settings: Settings, caller=Depends(caller)):
            tenant_id = caller.tenant_id
            store(tenant_id, settings)
    """,
        "the caller's own tenant is used, whatever the body says",
    ),
    Good(
        """
        from datetime import datetime
        from typing import Annotated
        from fastapi import Depends, FastAPI
        from pydantic import BaseModel

        class Filter(BaseModel):
            created_at: datetime | None = None

        class Note(BaseModel):
            text: str

        class Stored(BaseModel):
            note: Note
            created_at: datetime

        app = FastAPI()

        @app.post("/notes/search")
        def search(text: Note, filter: Annotated[Filter, Depends()]) -> list[Stored]:
            return []

        @app.post("/notes")
        def create(note: Note) -> Stored:
            return Stored(note=note, created_at=datetime.now())
    """,
        "a filter asks for dates, and an envelope that is only sent has them",
    ),
    Good(
        """
        from datetime import datetime
        from typing import Annotated
        from fastapi import FastAPI
        from pydantic import BaseModel, Field

        class Row(BaseModel):
            text: str
            created_at: datetime

        class Sent(Row):
            created_at: Annotated[datetime | None, Field(exclude=True)] = None
            updated_at: datetime | None = Field(None, exclude=True)

        app = FastAPI()

        @app.post("/notes")
        def create(note: Sent) -> None:
            print(note.model_dump())
    """,
        "what a client sends for it is in no dump of the model",
    ),
    Bad("""
        from datetime import datetime
        from fastapi import Body, Depends, FastAPI
        from pydantic import BaseModel

        class Sent(BaseModel):
            text: str
            created_at: datetime

        def checked(note: Sent = Body()) -> Sent:
            return note

        app = FastAPI()

        @app.post("/notes")
        def create(note: Sent = Depends(checked)) -> None:  # found
            print(note.text)
    """),
]
