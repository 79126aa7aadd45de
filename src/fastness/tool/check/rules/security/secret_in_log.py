"""A secret is written to the log.

Logs are read by more people, kept for longer and copied to more places than any database; a token that stands in one is a
token that has leaked.

Log who, not with what: an id or the last four characters. `SecretStr` hides itself.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.credentials import links
from fastness.tool.check.knowledge.facts.commands import is_command
from fastness.tool.check.knowledge.inputs.bodies import fields, shows_text
from fastness.tool.check.knowledge.inputs.requested import all_headers, login_body
from fastness.tool.check.rule import Bad, Found, Good, found, module_of, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names.resolve import Resolver
from fastness.tool.project.names.values import External, Instance
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Class, Function, Kind, constant, last_name

_LEVELS = ("debug", "info", "warning", "warn", "error", "exception", "critical", "log", "print", "success", "trace",
           "adebug", "ainfo", "awarning", "aerror", "aexception")  # fmt: skip
_SECRET = re.compile(
    r"(?:^|_)(?:password|passwd|secret|secret_key|api_?key|access_token|refresh_token|auth_token|bearer_token|jwt_token|token|private_key"
    r"|client_secret|credentials|creds|authorization)$",
    re.IGNORECASE,
)
_HARMLESS = re.compile(
    r"(?:^|_)(?:has|is|bos|eos|pad|sep|cls|unk|mask|special|short|num|n|count|max|min|total|hashed|masked|redacted|next|page|url|continuation|cancel|cancellation|cursor|sync|resume|csrf_cookie)_|tokens?_",
    re.IGNORECASE,
)
_LOGGING = {"logging", "loguru", "structlog", "rich", "logfire", "uvicorn"}
_MOCK = re.compile(r"Mock|Fake|Dummy|Stub|Console")
_TOKEN = re.compile(r"token|authorization|jwt|bearer", re.IGNORECASE)
_KEY = re.compile(r"key", re.IGNORECASE)
_PUSH = re.compile(r"push|device|fcm|apns", re.IGNORECASE)
# Where a token is a word of some language.
_LANGUAGES = frozenset({
    "lark", "ply", "antlr4", "tokenize", "tiktoken", "tokenizers", "transformers", "sqlparse", "pygments", "spacy", "nltk",
})  # fmt: skip
_NOT_TOLD = ("SecretStr()", "SecretBytes()", "int()", "bool()", "pathlib.Path()")  # where a key lies, not the key
_SHOWS = {"str", "repr", "format", "get_secret_value", "dict", "items", "decode", "dumps"}
_DUMPS = {"dict", "json", "model_dump", "model_dump_json"}
_MASKS = {"len", "bool", "type", "mask", "redact", "hash", "id", "isinstance", "hide", "obfuscate", "truncate"}


@rule(severity=Severity.ERROR, practice="6.6", help="log an id in its place, or hold it in a `SecretStr`")
def check(module: Module, service: Service) -> Iterator[Found]:
    for level in _LEVELS:
        for site in module.calls_by_name.get(level, ()):
            told = next(_secrets(site, service), None)
            if told is not None and _logs(site, service) and not module.only_as_script(site.node) and not _stands_in(site):
                yield found(site.scope, site.node, told)


def _secrets(site: CallSite, service: Service) -> Iterator[str]:
    """What the line holds of secrets."""
    for name, node in _values(site):
        if _names_secret(name) and not _is_no_key(name, site) and not _hides_itself(node, site, service.resolver):
            yield f"{name} is written to the log"
        elif (secret := links.secret_of(node, site)) is not None:
            yield f"{name} is written to the log, a link with its {secret}"
        elif links.connects(service.resolver, node, site):
            yield f"{name} is written to the log, a connection string with its password"
        elif all_headers(node, site, service):
            yield "every header of a request is written to the log, Authorization and Cookie with them"
        elif login_body(node, site, service):
            yield f"{name} is written to the log, the body of a request that can hold a password"
        elif (held := _held_by_model(node, site, service)) is not None:
            yield f"{name} is written to the log with its {held}"


def _logs(site: CallSite, service: Service) -> bool:
    called = site.node.func
    if isinstance(called, ast.Name):
        return called.id == "print" and not is_command(service, module_of(site.scope))
    for value in service.resolver.targets(site):
        if isinstance(value, External) and value.path.partition(".")[0] in _LOGGING:
            return True
    receiver = called.value if isinstance(called, ast.Attribute) else None
    name = receiver.attr if isinstance(receiver, ast.Attribute) else receiver.id if isinstance(receiver, ast.Name) else ""
    return name in {"logger", "log", "logging", "_logger", "LOGGER", "LOG"}


def _stands_in(site: CallSite) -> bool:
    """A mock whose purpose is to show what the real one sends: to a developer, who has no mailbox."""
    owner = site.scope.owner if isinstance(site.scope, Function) else None
    return owner is not None and bool(_MOCK.search(owner.name))


def _is_no_key(name: str, site: CallSite) -> bool:
    """A device's push token says where to send to, and a parser's token is a word: nobody proves anything with them."""
    if name != "token":
        return False
    module = module_of(site.scope)
    if any(imported.partition(".")[0] in _LANGUAGES for imported, *_ in module.imported):
        return True
    return bool(_PUSH.search(f"{module.path} {ast.unparse(site.node)}"))


def _held_by_model(node: ast.expr, site: CallSite, service: Service) -> str | None:
    """The field of a logged model, a parameter of the function, that holds a secret as plain text."""
    if not isinstance(node, ast.Name) or not isinstance(site.scope, Function):
        return None
    bindings = site.scope.bindings.get(node.id, ())
    if len(bindings) != 1 or bindings[0].kind is not Kind.PARAMETER or bindings[0].annotation is None:
        return None
    resolver = service.resolver
    for value in resolver.infer(node, site.scope):
        if isinstance(value, Instance) and resolver.derives(value.definition, "pydantic.BaseModel", "sqlmodel.SQLModel"):
            bases = (base for base in resolver.mro(value.definition) if isinstance(base, Class))
            if any(base.method("__repr__") or base.method("__str__") for base in bases):
                return None
            for name, (owner, field) in fields(service, value.definition).items():
                if _names_secret(name) and shows_text(service, owner, field, "repr", value=False):
                    return name
    return None


def _values(site: CallSite) -> Iterator[tuple[str, ast.expr]]:
    """The names whose values the line will contain."""
    pending: list[ast.expr] = [
        *site.node.args,
        *(k.value for k in site.node.keywords if k.arg not in {"exc_info", "extra", "file"}),
    ]
    while pending:
        node = pending.pop(0)
        if isinstance(node, ast.Name | ast.DictComp):
            yield getattr(node, "id", ""), node
        elif isinstance(node, ast.Attribute):
            yield node.attr, node
        elif isinstance(node, ast.Subscript):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                yield node.slice.value, node
            elif isinstance(node.slice, ast.Slice) and _shows_much(node.value, node.slice):
                pending.append(node.value)
        elif isinstance(node, ast.Call) and _asks_by_name(node):
            yield str(constant(node.args[0])), node
        elif isinstance(node, ast.FormattedValue):
            pending.append(node.value)
        elif isinstance(node, ast.JoinedStr | ast.BinOp | ast.Dict | ast.Tuple | ast.List):
            pending += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _DUMPS:
            pending += [] if node.args or node.keywords else [node.func.value]
        elif isinstance(node, ast.Call) and last_name(node) in _SHOWS:
            inner = node.func.value if isinstance(node.func, ast.Attribute) else None
            given = node.args if last_name(node) != "decode" else []  # of `jwt.decode(token)` the claims are shown
            pending += [*given, *([inner] if inner is not None else [])]


def _asks_by_name(node: ast.Call) -> bool:
    """`headers.get("Authorization")`."""
    return isinstance(node.func, ast.Attribute) and last_name(node) == "get" and bool(node.args)


def _shows_much(whole: ast.expr, part: ast.Slice) -> bool:
    """The first characters, and so many that they tell: tokens begin with what is the same in all, keys with their kind."""
    first, length = constant(part.lower), constant(part.upper)
    if first not in {None, 0} or not isinstance(length, int):
        return False
    name = str(constant(whole.slice)) if isinstance(whole, ast.Subscript) else ast.unparse(whole)
    most = 40 if _TOKEN.search(name) else 9 if _KEY.search(name) else 4
    return length > most


def _names_secret(name: str) -> bool:
    return bool(_SECRET.search(name)) and not _HARMLESS.search(name)


def _hides_itself(node: ast.expr, site: CallSite, resolver: Resolver) -> bool:
    for value in resolver.infer(node, site.scope):
        if isinstance(value, External) and value.path.endswith(_NOT_TOLD):
            return True
    return _is_enum_or_constant(node, site)


def _is_enum_or_constant(node: ast.expr, site: CallSite) -> bool:
    """Members of enums and lengths of things are not the secret; a name that is reassigned to a masked form is not either."""
    if not isinstance(node, ast.Name) or not isinstance(site.scope, Function):
        return False
    values = [binding.value for binding in site.scope.bindings.get(node.id, ()) if binding.value is not None]
    return any(isinstance(v, ast.Call) and ast.unparse(v.func).rpartition(".")[2] in _MASKS for v in values)


EXAMPLES = [
    Bad("""
        import logging

        logger = logging.getLogger(__name__)

        def make(user, api_key, headers):
            logger.info("new key %s for %s", api_key, user)  # found
            logger.debug(f"{api_key=}")  # found
            logger.warning("password: " + user.password)  # found
    """),
    Bad("""
        import logging
        from pydantic import BaseModel

        logger = logging.getLogger(__name__)

        class Named(BaseModel):
            name: str
            password: str | None = None

        class Registration(Named):
            email: str

        def register(user: Registration, mail_creds):
            logger.info("received %s", user)  # found
            logger.debug(f"received {user.model_dump()}")  # found
            logger.debug("sending with %s", mail_creds)  # found
    """),
    Bad("""
        import logging

        logger = logging.getLogger(__name__)

        def invite(base, code, email, headers, secret_key, password):
            link = f"{base}/auth/magic?code={code}&email={email}"
            logger.info(f"give them this link: {link}")  # found
            logger.info("asked with %s", headers.get("Authorization"))  # found
            logger.info(f"bad key {secret_key[:10]}...")  # found
            logger.info(f"bad password {password[0:5]}...")  # found
    """),
    Bad("""
        import json
        import logging
        from fastapi import FastAPI, Request

        logger = logging.getLogger(__name__)
        app = FastAPI()

        def forwarded(headers):
            kept = {}
            for key, value in dict(headers).items():
                if key.lower() not in ["host"]:
                    kept[key] = value
            return kept

        @app.middleware("http")
        async def trace(request: Request, call_next):
            body = await request.body()
            headers = {k: v for k, v in dict(request.headers).items() if k.lower() not in ["host"]}
            sent_headers = forwarded(request.headers)
            logger.info("asked with %s", dict(request.headers))  # found
            logger.info(json.dumps(dict(request.headers), indent=2))  # found
            logger.info(f"asked with {request.headers}")  # found
            logger.info(f"asked with {headers}")  # found
            logger.info(f"passing on {sent_headers}")  # found
            logger.info(f"asked for {body.decode()}")  # found
            return await call_next(request)

        @app.post("/login")
        async def login(request: Request):
            form = await request.form()
            logger.info("login: %s", form)  # found
    """),
    Good(
        """
        import logging
        from fastapi import FastAPI, Request

        logger = logging.getLogger(__name__)
        app = FastAPI()
        SHOWN = {"user-agent", "accept"}

        @app.middleware("http")
        async def trace(request: Request, call_next):
            headers = {k: v for k, v in request.headers.items() if k.lower() not in {"authorization", "cookie"}}
            shown_headers = {k: v for k, v in request.headers.items() if k in SHOWN}
            logger.info(f"asked with {headers}, {shown_headers}, {request.headers.get('accept')}")
            if settings.log_headers:
                logger.info(f"asked with {request.headers}")
            logger.debug(jwt.decode(request.cookies["id_token"], options={"verify_signature": False}))
            response = await call_next(request)
            logger.info(f"answered with {response.headers}")
            return response

        @app.post("/orders")
        async def order(request: Request):
            body = await request.json()
            logger.info("order: %s", body)
    """,
        "credentials are left out, or a setting asks for them, or the body has none",
    ),
    Bad("""
        import os
        from app.config import host

        USER, PASSWORD = os.environ["DB_USER"], os.environ["DB_PASS"]
        DATABASE_URL = f"postgresql://{USER}:{PASSWORD}@{host}/orders"
        CACHE_URL = f"redis://{host}:6379/0"

        print("connecting to", DATABASE_URL)  # found
        print("caching in", CACHE_URL)
        # file: app/config.py
        host = "db.example.org"
    """),
    Good(
        """
        import logging

        logger = logging.getLogger(__name__)

        def invite(base, page, code, headers, api_key, access_token, settings):
            link = f"{base}/countries?code={code}"
            logger.info("see %s", link)
            logger.info("asked with %s", headers.get("Accept"))
            logger.info(f"key {api_key[:8]}..., token {access_token[:20]}... of {settings.get(page)}")
            logger.info(f"key ends in {api_key[-4:]}")
    """,
        "a link that opens nothing, a header that is no secret, and beginnings that are the same for many",
    ),
    Good(
        """
        import logging
        from typing import Annotated
        from lark import Token
        from pydantic import BaseModel, Field, SecretStr

        logger = logging.getLogger(__name__)

        class Given(BaseModel):
            password: str

        class Login(Given):
            password: SecretStr
            pin_token: str = Field(repr=False)
            api_key: Annotated[str, Field(repr=False)]

        def visit(token: Token, login: Login, cancel_token):
            logger.debug("name %s", token)
            logger.info("received %s", login)
            logger.info("received %s", login.model_dump(exclude={"password"}))
            logger.info("cancelled by %s", cancel_token)
    """,
        "a word, a signal, and a model whose secrets hide themselves",
    ),
    Good("""
        import logging
        from pydantic import BaseModel, SecretStr

        logger = logging.getLogger(__name__)

        class Login(BaseModel):
            password: SecretStr

        def make(login: Login, tokens_left: int, api_key: str, max_token: int, eos_token: str):
            logger.info("ends with %s", eos_token)
            logger.info("password %s", login.password)
            logger.info("%s tokens left", tokens_left)
            logger.info("key ends in %s", api_key[-4:])
            logger.info("token missing: %s", len(api_key))
            logger.info("limit %s", max_token)
            logger.info("password changed")
    """),
    Good(
        """
        # file: app/cli.py
        import typer

        def register(client_secret: str):
            print("your secret:", client_secret)
        # file: app/client.py
        def call(api_key):
            return api_key

        if __name__ == "__main__":
            api_key = "1"
            print(api_key)
        # file: find_password.py
        def find(password):
            print(password)

        if __name__ == "__main__":
            find("a")
    """,
        "who asks on a command line is told",
    ),
    Good(
        """
        import logging

        logger = logging.getLogger(__name__)

        def forget(token):
            logger.warning("push.device_gone", extra={}, stacklevel=1)
            logger.info("device %s is gone", token)
    """,
        "a push token is an address",
    ),
    Good(
        """
        import logging

        logger = logging.getLogger(__name__)

        class ConsoleMockMailer:
            async def send_reset(self, address, reset_token):
                logger.info("to %s: %s", address, reset_token)
    """,
        "a mailer for developers shows on the console what it would have sent",
    ),
]
