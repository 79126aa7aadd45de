"""A secret stands in the source.

Whoever can read the repository, its forks, its backups or an old image has it, and it cannot be changed without a release. A
default for a missing setting is worse than none: the day the variable is misspelt, production signs its tokens with a
text that the whole world knows.

Read it from the environment or a secret store, without a default; refuse to start when it is missing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from fastness.tool.check.knowledge.credentials import fallbacks, seeds, unsafe_defaults
from fastness.tool.check.knowledge.credentials.refused import Refusals
from fastness.tool.check.knowledge.credentials.secrets import (
    dsn_password,
    is_dummy,
    is_literal_secret,
    is_to_be_replaced,
    names_secret,
    signs,
)
from fastness.tool.check.rule import Bad, Found, Good, found, module_of, proof, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service
from fastness.tool.project.names import literals
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import Binding, Class, Kind, Scope, constant
from fastness.tool.project.source.walk import walk

# Where nothing but a developer's machine or a compose network answers.
_LOCAL = re.compile(r"@(?:localhost|127\.0\.0\.1|db|database|postgres|redis|mongo|rabbitmq)(?:[:/]|$)")

_CONFIGURES = re.compile(r"(?:Settings|Config|Conf|Configuration)$")
# What tests are configured with, which opens nothing.
_OF_TESTS = re.compile(r"^_?(?:Test|Testing)(?=[A-Z_]|$)|Test(?:s|ing)?(?:Settings|Config|Conf|Configuration)$|^TEST_|^test_")


@rule(
    severity=Severity.ERROR,
    practice="6.6",
    help="read it from the environment or a secret store without a default, and fail when it is missing",
)
def check(module: Module, service: Service) -> Iterator[Found]:
    guards = Refusals(module)
    scopes: list[Scope] = [module, *module.classes]
    for scope in scopes:
        held = [
            one
            for name, bindings in scope.bindings.items()
            for binding in bindings
            for one in _binding(service, scope, name, binding, guards)
        ]
        if held and (not isinstance(scope, Class) or _may_hold(service, scope)):
            yield from held
    yield from _fallbacks(service, module, guards)
    yield from _seeded(module)


def _fallbacks(service: Service, module: Module, guards: Refusals) -> Iterator[Found]:
    for site, variable, default in fallbacks.read(service, module):
        if default not in guards.texts:
            yield found(site.scope, site.node, f"the default of {variable} is a secret in the source")


def _seeded(module: Module) -> Iterator[Found]:
    """`User(password_hash=hash_password("admin"))`: an account for everybody who reads this; one finding per function."""
    for function, (first, *others) in seeds.literal(module).items():
        evidence = [proof(function, site.node, "here too") for site in others]
        message = f"the password of an account that {function.qualified} makes is in the source"
        yield found(function, first.node, message, *evidence, count=1 + len(others))


def _may_hold(service: Service, defined: Class) -> bool:
    """Settings, however they are read, or a plain class of constants; fields of request models and tables are not values."""
    if _OF_TESTS.search(defined.name):
        return False
    if service.is_settings(defined) or _CONFIGURES.search(defined.name):
        return True
    return not service.is_model(defined) and not service.is_entity(defined) and not _is_enum(service, defined)


def _is_enum(service: Service, defined: Class) -> bool:
    return service.resolver.derives(defined, "enum.Enum", "enum.StrEnum", "enum.IntEnum", "typing.TypedDict", "typing.Protocol")


def _binding(service: Service, scope: Scope, name: str, binding: Binding, guards: Refusals) -> Iterator[Found]:
    if binding.kind is not Kind.ASSIGN or binding.value is None or not _may_tell(name, binding.value):
        return
    if module_of(scope).only_as_script(binding.node):
        return
    value = literals.default(service.resolver, binding.value, scope)
    value = _inside(value)
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str | bytes):
        return
    text = value.value if isinstance(value.value, str) else value.value.decode("latin-1")
    settings = isinstance(scope, Class) and (names_secret(name) or signs(name)) and service.is_settings(scope)
    read = value is not binding.value  # from the environment, with a fallback
    literal = is_literal_secret(text) or (settings and bool(text.strip()))
    literal = literal and (not is_dummy(text) or (settings and signs(name)))
    literal = literal and (signs(name) or not is_to_be_replaced(text))
    if names_secret(name) and literal and (text.lower() != name.lower() or (settings and signs(name))):
        if text in guards.texts or unsafe_defaults.in_table(module_of(scope), name, text):
            return  # the same literal is compared with and refused at start
        how = "the default" if read else "a literal"
        yield found(scope, binding.node, f"{how} of {name} is a secret in the source")
    elif (password := dsn_password(text)) is not None and not _LOCAL.search(text):
        if password in guards.texts:
            return
        yield found(scope, binding.node, f"{name} holds a connection string with its password")
    elif not text and (settings or (read and isinstance(scope, Module))) and signs(name):
        replaced = len(scope.bindings[name]) > 1
        if not replaced and name not in guards.names and not unsafe_defaults.is_refused_by_readers(service.project, name):
            yield found(scope, binding.node, f"{name} is empty by default: a forgotten variable means no secret at all")


def _may_tell(name: str, value: ast.expr) -> bool:
    """Asked of everything that is bound, so before anything is resolved."""
    if not isinstance(value, ast.Constant | ast.Call | ast.BoolOp):
        return False
    if _OF_TESTS.search(name):
        return False
    return names_secret(name) or signs(name) or any("://" in str(constant(part)) for part in walk(value))


def _inside(node: ast.expr) -> ast.expr:
    """The literal in `SecretStr("...")`, `os.environ.get(..) or "..."`."""
    if isinstance(node, ast.Call) and len(node.args) == 1 and ast.unparse(node.func).endswith("SecretStr"):
        return _inside(node.args[0])
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        return node.values[-1]
    return node


EXAMPLES = [
    Bad("""
        import os
        from pydantic import Field, SecretStr
        from pydantic_settings import BaseSettings

        DATABASE_URL = "postgresql://app:hunter2@db.example.org/app"  # found
        JWT_SECRET = os.getenv("JWT_SECRET", "change-me")  # found

        class Settings(BaseSettings):
            secret_key: str = "09d25e094faa6ca2556c818166b7a956"  # found
            api_key: SecretStr = Field(default=SecretStr("1234"))  # found
            session_secret: str = ""  # found
            auth_secret: bytes = b"O/M2uIbGj"  # found

        def secret(log):
            value = os.environ.get("JWT_SECRET", "jwtsecret")  # found
            if value == "jwtsecret":
                log.warning("set JWT_SECRET")
            return value
    """),
    Bad("""
        import bcrypt
        from app.models import User

        def hash_password(password: str) -> bytes:
            return bcrypt.hashpw(password.encode(), bcrypt.gensalt())

        def seed(db):
            db.add(User(name="admin", password_hash=hash_password("admin"), is_admin=True))  # found
            hashed = bcrypt.hashpw(b"letmein", bcrypt.gensalt())
            db.add(User(name="robot", password_hash=hashed))

        def reset(user):
            user.hashed_password = hash_password("welcome")  # found
    """),
    Good(
        """
        import os
        from app.models import User
        from app.security import hash_password, verify

        def seed(db):
            db.add(User(name="admin", password_hash=hash_password(os.environ["ADMIN_PASSWORD"])))

        def login(db, name, password):
            user = db.get(User, name)
            compared = hash_password("nobody") if user is None else user.password_hash
            return verify(password, compared)

        log_secret_patterns: str = "password,token,secret"
    """,
        "the seed's password comes from outside, a guess for nobody takes as long, and words that are looked for are none",
    ),
    Bad("""
        from decouple import config
        from pydantic import BaseModel, Field
        from pydantic_settings import BaseSettings
        from starlette.config import Config
        from starlette.datastructures import Secret

        read = Config(".env")
        SECRET_KEY = read("SECRET_KEY", cast=Secret, default="")  # found
        JWT_SECRET_KEY = config("JWT_SECRET_KEY", default="hunter2")  # found

        class StorageConfig(BaseModel):
            secret_key: str | None = Field(default="storageadmin", description="of the bucket")  # found

        class Settings(BaseSettings):
            secret_key: str = "PLACEHOLDER"  # found
            jwt_secret: str = "jwt_secret"  # found
    """),
    Bad("""
        import os
        from fastapi import FastAPI
        from starlette.middleware.sessions import SessionMiddleware

        app = FastAPI()
        app.add_middleware(SessionMiddleware, secret_key=os.getenv("SESSION_SECRET", "letmein"))  # found
        KEYS = {"HS256": os.environ.get("JWT_SECRET", "letmein")}  # found

        if __name__ == "__main__":
            print(os.getenv("SESSION_SECRET", "letmein"))
    """),
    Good("""
        import os
        from pydantic import BaseModel, SecretStr
        from pydantic_settings import BaseSettings

        SECRET_KEY = os.environ["SECRET_KEY"]
        PASSWORD_RESET_URL = "/password-reset"
        API_KEY_HEADER = "x-api-key"
        DATABASE_URL = "postgresql://app:app@localhost/app"
        TEMPLATE = "postgresql://{user}:{password}@{host}/app"

        class Settings(BaseSettings):
            secret_key: SecretStr
            first_password: str = "changethis"
            password_min_length: int = 8

            def check(self):
                if self.first_password == "changethis":
                    raise ValueError("change it")

        class Login(BaseModel):
            password: str = "example"
        # file: tests/test_login.py
        PASSWORD = "hunter2"
    """),
    Good(
        """
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            github_client_secret: str = ""
            stripe_secret_key: str = ""
            secrets_directory: str = "secrets"
            gateway_api_key: str = "dummy"

        if __name__ == "__main__":
            password = "hunter2"
    """,
        "another service's secret may be missing: that service refuses; and what only a script uses is not served",
    ),
    Good(
        r"""
        from enum import Enum
        from pydantic_settings import BaseSettings

        class TokenType(str, Enum):
            ACCESS_TOKEN = "access"
            PASSWORD_RESET = "reset"

        class Settings(BaseSettings):
            token_url: str = "/v1/token"
            secret_key_file: str = "/run/secrets/key"
            access_token_type: str = "bearer"
            password_hash_algorithm: str = "argon2"
            api_key_env: str = "SERVICE_API_KEY"
            jwt_secret_name: str = "projects/app/secrets/jwt"

        POSTHOG_API_KEY = "phc_OcwKvVT5QCgASAk"
        SECRET_KEY_NAME = "session"
        PASSWORD_PATTERN = r"^(?=.*\d).{12,}$"
        INVALID_TOKEN = "invalid_token"
    """,
        "where a secret is found, what it is called and of what kind it is",
    ),
    Good(
        """
        import os
        import secrets

        SECRET_KEY = os.getenv("SECRET_KEY", "")
        if SECRET_KEY == "":
            raise RuntimeError("SECRET_KEY is not set")

        AUTH_SECRET = os.getenv("AUTH_SECRET", "")
        if len(AUTH_SECRET) < 32:
            raise RuntimeError("AUTH_SECRET is short")

        SIGNING_SECRET = os.getenv("SIGNING_SECRET", "")
        assert SIGNING_SECRET

        JWT_SECRET = os.getenv("JWT_SECRET", "")
        JWT_SECRET = JWT_SECRET or secrets.token_hex()
    """,
        "an empty one is refused, or replaced",
    ),
    Good(
        """
        from pydantic import Field, field_validator
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            SECRET_KEY: str = Field(default="")

            @field_validator("SECRET_KEY")
            @classmethod
            def is_strong(cls, value: str) -> str:
                if not value or len(value) < 32:
                    raise ValueError("SECRET_KEY must have 32 characters")
                return value

        class TestSettings(Settings):
            SECRET_KEY: str = "of-tests-and-nobody-else"

        TEST_PASSWORD = "Wonderland1"
    """,
        "an empty one is refused by a validator; what tests are configured with opens nothing",
    ),
    Bad("""
        import os

        WEBHOOK_SECRET = os.getenv("WEBHOOK_SECRET", "")  # found

        def receive(given):
            if given != WEBHOOK_SECRET:
                raise ValueError("not ours")
    """),
    Good(
        """
        import os
        from pydantic import BaseModel
        from pydantic_settings import BaseSettings

        ROLE_SECRET_KEY = "APP_ROLE_SECRET"
        SECRET_MASK_ON_PAGE = "data-mask"
        REDACTED_SECRET = "[hidden]"
        PLACEHOLDER_SECRET_KEY = "fillmein"
        SIGNING_SECRET = os.environ.get("SIGNING_SECRET", "")
        RESET_PASSWORD = os.environ.get("RESET_PASSWORD", "false")

        class Settings(BaseSettings):
            cookie_refresh_token_key: str = "app_refresh"
            api_key_hash_iterations: str = "120000"

        class ModelConfig(BaseModel):
            api_key: str = "EMPTY"

        def start():
            if not SIGNING_SECRET:
                raise RuntimeError("SIGNING_SECRET is not set")
    """,
        "names under which secrets are found, what stands in their place, and one that is refused when empty",
    ),
    Good(
        """
        from pydantic import SecretStr
        from pydantic_settings import BaseSettings

        UNSAFE = {"jwt_secret_key": ["change-this-soon"]}

        class Settings(BaseSettings):
            jwt_secret_key: SecretStr = SecretStr("change-this-soon")
            mail_api_key: str = "<set it in the environment>"
            billing_webhook_secret: str = ""

            def model_post_init(self, context):
                unsafe = [name for name, texts in UNSAFE.items() if getattr(self, name).get_secret_value() in texts]
                if unsafe:
                    raise ValueError(unsafe)

        def verify(settings, body):
            secret = settings.billing_webhook_secret
            if not secret:
                raise RuntimeError("no webhooks without their secret")
            return body.startswith(secret)
        """,
        "a table of what is refused, what says that it must be replaced, and an empty one that its only reader refuses",
    ),
    Bad("""
        from sqlalchemy import text
        from app.security import hash_password

        async def seed(db):
            hashed = await hash_password("Welcome@1")  # found
            await db.execute(text("INSERT INTO users (name, password) VALUES ('admin', :p)"), {"p": hashed})
    """),
    Bad("""
        # file: app/config.py
        import os

        def env(name: str, *, required: bool = False, default: str = "") -> str:
            value = os.environ.get(name, default)
            if required and not value:
                raise OSError(name)
            return value

        SECRET_KEY = env("SECRET_KEY", default="hunter2")  # found
        JWT_SECRET = env("JWT_SECRET", required=True)
        first_pass = "stemming"
        db_pass = "orders"  # found
        # file: app/seed.py
        from app.config import env

        def password():
            return env("ADMIN_PASSWORD", default="admin")  # found
    """),
]
