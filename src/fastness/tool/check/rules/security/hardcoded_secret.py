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

from fastness.tool.check.knowledge.secrets import dsn_password, is_literal_secret, names_secret
from fastness.tool.check.rule import Bad, Found, Good, found, rule
from fastness.tool.findings import Severity
from fastness.tool.project import Service, literals
from fastness.tool.project.module import Module
from fastness.tool.project.symbols import Binding, Class, Kind, Scope

# Where nothing but a developer's machine or a compose network answers.
_LOCAL = re.compile(r"@(?:localhost|127\.0\.0\.1|db|database|postgres|redis|mongo|rabbitmq)(?:[:/]|$)")


@rule(severity=Severity.ERROR, practice="6.6", help="read it from the environment or a secret store without a default, and fail when it is missing")
def check(service: Service) -> Iterator[Found]:
    for module in service.project.service:
        guards = _guarded(module)
        scopes: list[Scope] = [module, *(c for c in module.classes if _may_hold(service, c))]
        for scope in scopes:
            for name, bindings in scope.bindings.items():
                for binding in bindings:
                    yield from _binding(service, scope, name, binding, guards)


def _may_hold(service: Service, defined: Class) -> bool:
    """Settings, or a plain class of constants; fields of request models and tables are not values."""
    if service.is_settings(defined):
        return True
    return not service.is_model(defined) and not service.is_entity(defined) and not _is_enum(service, defined)


def _is_enum(service: Service, defined: Class) -> bool:
    return service.resolver.derives(defined, "enum.Enum", "enum.StrEnum", "enum.IntEnum", "typing.TypedDict", "typing.Protocol")


def _binding(service: Service, scope: Scope, name: str, binding: Binding, guards: set[str]) -> Iterator[Found]:
    if binding.kind is not Kind.ASSIGN or binding.value is None:
        return
    value = literals.default(service.resolver, binding.value, scope)
    value = _inside(value)
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        return
    text = value.value
    if text in guards:
        return  # the same literal is compared with and refused at start
    if names_secret(name) and is_literal_secret(text) and text.lower() != name.lower():
        how = "the default" if value is not binding.value else "a literal"
        yield found(scope, binding.node, f"{how} of {name} is a secret in the source")
    elif (password := dsn_password(text)) is not None and password not in guards and not _LOCAL.search(text):
        yield found(scope, binding.node, f"{name} holds a connection string with its password")
    elif not text and isinstance(scope, Class) and names_secret(name) and "secret" in name.lower() and service.is_settings(scope):
        yield found(scope, binding.node, f"{name} is empty by default: a forgotten variable means no secret at all")


def _inside(node: ast.expr) -> ast.expr:
    """The literal in `SecretStr("...")`, `os.environ.get(..) or "..."`."""
    if isinstance(node, ast.Call) and len(node.args) == 1 and ast.unparse(node.func).endswith("SecretStr"):
        return _inside(node.args[0])
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        return node.values[-1]
    return node


def _guarded(module: Module) -> set[str]:
    """Literals that the module compares with: `if self.secret == "changethis": raise ...`."""
    if not module.mentions("raise"):
        return set()
    return {
        side.value
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Compare)
        for side in (*node.comparators, node.left)
        if isinstance(side, ast.Constant) and isinstance(side.value, str)
    }


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
]
