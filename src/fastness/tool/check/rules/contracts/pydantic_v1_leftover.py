"""Code of Pydantic 1 under Pydantic 2.

Pydantic 2 renamed the settings of `class Config` and ignores the old names with no more than a warning: a model with
`orm_mode` no longer reads objects, one with `allow_mutation = False` can be changed, and `min_anystr_length` lets empty texts
in. Settings ignore `Field(env="PORT")` and read the variable that is called like the field, and `regex=` and `const=` raise.
The old methods and decorators still work, warn at every use, and end with Pydantic 3.

Run `bump-pydantic`, and look at each model whose configuration was ignored: it did not do what it says for as long.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from fastness.tool.check.knowledge.facts import versions
from fastness.tool.check.rule import Bad, Found, Good, found, proof, rule
from fastness.tool.findings import Fix, Severity
from fastness.tool.project import Service
from fastness.tool.project.names.values import External
from fastness.tool.project.source.module import Module
from fastness.tool.project.source.symbols import CallSite, Class, dotted, last_name
from fastness.tool.project.source.walk import walk

_IGNORED = {
    "orm_mode": "from_attributes", "allow_population_by_field_name": "populate_by_name", "schema_extra": "json_schema_extra",
    "allow_mutation": "frozen", "anystr_strip_whitespace": "str_strip_whitespace", "anystr_lower": "str_to_lower",
    "anystr_upper": "str_to_upper", "min_anystr_length": "str_min_length", "max_anystr_length": "str_max_length",
    "validate_all": "validate_default", "keep_untouched": "ignored_types", "fields": "Field()", "getter_dict": "a validator",
    "underscore_attrs_are_private": "PrivateAttr", "smart_union": "nothing: unions are smart",
    "error_msg_templates": "a handler of errors", "copy_on_model_validation": "revalidate_instances",
    "json_loads": "a validator", "json_dumps": "a serializer",
}  # fmt: skip
# Arguments of `Field` that raise, that settings ignore, and that only warn.
_RAISING = {"regex": "pattern", "const": "Literal", "unique_items": "set"}
_WARNING = {"min_items": "min_length", "max_items": "max_length", "allow_mutation": "frozen", "example": "examples"}
_METHODS = {
    "dict": "model_dump", "json": "model_dump_json", "copy": "model_copy", "parse_obj": "model_validate",
    "parse_raw": "model_validate_json", "from_orm": "model_validate", "construct": "model_construct",
    "schema": "model_json_schema", "schema_json": "model_json_schema", "update_forward_refs": "model_rebuild",
}  # fmt: skip
_DECORATORS = {"validator": "field_validator", "root_validator": "model_validator"}


@rule(severity=Severity.WARNING, practice="3.3", fix=Fix.REVIEW, help="use the names of Pydantic 2; `bump-pydantic` knows most")
def check(module: Module, service: Service) -> Iterator[Found]:
    if not versions.pydantic_is_2(service):
        return
    yield from _removed(module)
    for defined in module.classes:
        if defined.name != "Config" and service.is_model(defined):
            yield from _configured(service, defined)
    yield from _fields(service, module)
    old = [*_decorated(service, module), *_called(service, module), *_warning(service, module)]
    if old:
        first, text = old[0]
        evidence = [proof(module, node, text) for node, text in old[1:50]]
        yield found(module, first, f"{text}; deprecated since Pydantic 2", *evidence, count=len(old))


def _fields(service: Service, module: Module) -> Iterator[Found]:
    """`Field(env=...)` of settings, one finding per class, and what raises when the class is made."""
    ignored: dict[Class, list[CallSite]] = {}
    for site in _declared(service, module, "env", *_RAISING):
        said = {keyword.arg for keyword in site.node.keywords}
        for name in _RAISING.keys() & said:
            message = f"Pydantic 2 refuses {name}= of Field: it is {_RAISING[name]} now"
            yield found(site.scope, site.node, message, severity=Severity.ERROR)
        if "env" in said and isinstance(site.scope, Class) and service.is_settings(site.scope):
            ignored.setdefault(site.scope, []).append(site)
    for defined, sites in ignored.items():
        evidence = [proof(defined, site.node, "ignored") for site in sites[1:50]]
        message = f"Pydantic 2 ignores env= of the fields of {defined.name}: it is validation_alias= now"
        yield found(defined, sites[0].node, message, *evidence, count=len(sites))


def _declared(service: Service, module: Module, *names: str) -> Iterator[CallSite]:
    """The calls of Pydantic's `Field` with one of these arguments. SQLModel's own takes some of them."""
    for site in module.calls_by_name.get("Field", ()):
        if any(keyword.arg in names for keyword in site.node.keywords) and service.resolver.calls(site, "pydantic.Field"):
            yield site


def _warning(service: Service, module: Module) -> Iterator[tuple[ast.AST, str]]:
    for site in _declared(service, module, *_WARNING):
        name = next(keyword.arg for keyword in site.node.keywords if keyword.arg in _WARNING)
        yield site.node, f"{name}= of Field is {_WARNING[name or '']}= now"


def _removed(module: Module) -> Iterator[Found]:
    """`from pydantic import BaseSettings` raises, unless somebody catches that."""
    for name, member, node, _, type_checking in module.imports:
        if name == "pydantic" and member == "BaseSettings" and not type_checking and not _tried(module, node):
            yield found(module, node, "BaseSettings is no longer in pydantic: the import fails", severity=Severity.ERROR)


def _tried(module: Module, node: ast.AST) -> bool:
    return any(
        isinstance(outer, ast.Try | ast.If) and any(inner is node for inner in walk(outer)) for outer in walk(module.tree)
    )


def _configured(service: Service, defined: Class) -> Iterator[Found]:
    for node, names in _settings(service, defined):
        old = [name for name in names if name in _IGNORED]
        if old:
            told = ", ".join(f"{name} (now {_IGNORED[name]})" for name in old)
            yield found(defined, node, f"Pydantic 2 ignores this configuration of {defined.name}: {told}")


def _settings(service: Service, defined: Class) -> Iterator[tuple[ast.AST, list[str]]]:
    for binding in (*defined.bindings.get("Config", ()), *defined.bindings.get("model_config", ())):
        inner = binding.definition
        if isinstance(inner, Class):
            if inner.node not in defined.node.body:
                continue  # in a branch: one of two, for whichever Pydantic is installed
            yield inner.node, list(inner.bindings)
        elif isinstance(binding.value, ast.Call) and "pydantic.ConfigDict" in service.resolver.paths(
            binding.value.func, defined
        ):
            yield binding.node, [keyword.arg for keyword in binding.value.keywords if keyword.arg]
        elif isinstance(binding.value, ast.Dict):
            keys = [key.value for key in binding.value.keys if isinstance(key, ast.Constant)]
            yield binding.node, [key for key in keys if isinstance(key, str)]


def _decorated(service: Service, module: Module) -> Iterator[tuple[ast.AST, str]]:
    if not module.mentions(*_DECORATORS):
        return
    for function in module.functions:
        for decorator in function.decorators:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            name = last_name(called)
            if name in _DECORATORS and f"pydantic.{name}" in service.resolver.paths(called, function.parent):
                yield decorator, f"@{name} is @{_DECORATORS[name]} now"


def _called(service: Service, module: Module) -> Iterator[tuple[ast.AST, str]]:
    for name, now in _METHODS.items():
        for site in module.calls_by_name.get(name, ()):
            called = site.node.func
            if not isinstance(called, ast.Attribute) or _is_import(called, module):
                continue
            values = service.resolver.targets(site)
            if values and all(isinstance(v, External) and v.path in _paths(name) for v in values):
                yield site.node, f"{ast.unparse(called)[:60]}() is {now}() now"


def _paths(name: str) -> set[str]:
    return {f"{base}{made}.{name}" for base in ("pydantic.BaseModel", "sqlmodel.SQLModel") for made in ("", "()")}


def _is_import(called: ast.Attribute, module: Module) -> bool:
    return dotted(called.value) in module.bindings and dotted(called.value) == "json"


EXAMPLES = [
    Bad("""
        # file: requirements.txt
        pydantic>=2,<3
        # file: app/main.py
        from pydantic import BaseModel, validator

        class User(BaseModel):
            name: str

            class Config:  # found
                orm_mode = True

            @validator("name")  # found
            def short(cls, value):
                return value

        def store(user: User):
            return user.dict()
        # file: app/config.py
        from pydantic import BaseSettings  # found
    """),
    Bad("""
        from pydantic import BaseModel, ConfigDict

        class User(BaseModel):
            name: str
            model_config = ConfigDict(allow_population_by_field_name=True)  # found
    """),
    Bad("""
        # file: requirements.txt
        pydantic>=2
        # file: app/config.py
        from pydantic import BaseModel, Field
        from pydantic_settings import BaseSettings

        class Settings(BaseSettings):
            port: int = Field(default=8000, env="APP_PORT")  # found
            host: str = Field(default="localhost", env="APP_HOST")

        class Order(BaseModel):
            name: str = Field(..., example="tea")  # found
            lines: list[str] = Field(min_items=1)
            code: str = Field(regex="^[a-z]+$")  # found
    """),
    Good(
        """
        # file: requirements.txt
        pydantic>=2
        # file: app/config.py
        from fastapi import FastAPI, Query
        from pydantic import BaseModel, Field
        from pydantic_settings import BaseSettings
        from sqlmodel import Field as Column, SQLModel

        class Settings(BaseSettings):
            port: int = Field(default=8000, validation_alias="APP_PORT")

        class Order(SQLModel):
            code: str = Column(regex="^[a-z]+$")

        app = FastAPI()

        @app.get("/orders")
        def orders(code: str = Query(regex="^[a-z]+$", example="abc")) -> list[str]: ...
    """,
        "the alias is said as Pydantic 2 wants it, and others have arguments of the same name",
    ),
    Good(
        """
        # file: requirements.txt
        pydantic==1.10.13
        # file: app/main.py
        from pydantic import BaseModel, BaseSettings, validator

        class User(BaseModel):
            name: str

            class Config:
                orm_mode = True

            @validator("name")
            def short(cls, value):
                return value

        def store(user: User):
            return user.dict()
    """,
        "under Pydantic 1 this is right",
    ),
    Good(
        """
        # file: requirements.txt
        pydantic>=2.5
        # file: app/main.py
        import json
        from pydantic import BaseModel
        from httpx import Response

        class User(BaseModel):
            name: str

            class Config:
                from_attributes = True

            def dict(self, **options):
                return self.model_dump(**options)

        class Config:
            orm_mode = True

        def store(user: User, response: Response, row):
            return user.dict(), response.json(), row.dict(), {}.copy()
    """,
        "its own `dict`, a response's `json`, values of no known type, and a Config that is no model's",
    ),
    Good(
        """
        # file: requirements.txt
        pydantic>=2.5
        # file: app/config.py
        from pydantic.v1 import validator, BaseModel as Old

        try:
            from pydantic_settings import BaseSettings
        except ImportError:
            from pydantic import BaseSettings
        # file: app/models.py
        from pydantic import VERSION, BaseModel, ConfigDict

        class Order(BaseModel):
            if VERSION.startswith("2."):
                model_config = ConfigDict(frozen=True)
            else:

                class Config:
                    allow_mutation = False
        # file: tests/test_models.py
        from pydantic import BaseModel

        class User(BaseModel):
            class Config:
                orm_mode = True
    """,
        "what supports both versions, or asks for the old one by name",
    ),
]
