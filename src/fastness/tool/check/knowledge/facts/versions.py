"""What the versions that a project asks for mean. A rule that judges code by a version asks here."""

from __future__ import annotations

import re

from fastness.tool.project import Service
from fastness.tool.project.kept.reading import fact

_V2_ONLY = {"ConfigDict", "field_validator", "model_validator", "field_serializer", "model_serializer", "computed_field",
            "RootModel", "TypeAdapter", "AfterValidator", "BeforeValidator"}  # fmt: skip
_LOWEST = re.compile(r"(?:>=?|===?|~=|\^|~)v?(\d+)\.(\d+)")
_MAJOR = re.compile(r"[=~^>v ]*(\d+)")
_SINCE = (0, 118)  # FastAPI ends dependencies after the response is sent
_BEFORE = (0, 106)  # as it did in the background before this one
_SCOPED = (0, 121)  # `Depends(..., scope="function")`
_LIFESPAN = (0, 93)  # `FastAPI(lifespan=...)`; before, the argument was taken and forgotten
_FLAT = (0, 137)  # `app.routes` no longer lists what included routers hold


@fact
def pydantic_is_2(service: Service) -> bool:
    """Every place that states a version asks for Pydantic 2; without one, the code uses what only Pydantic 2 has."""
    stated = (_MAJOR.match(specifier) for specifier in service.requirements.stated.get("pydantic", ()))
    majors = {int(matched[1]) for matched in stated if matched is not None}
    if majors:
        return majors == {2}
    newest = service.requirements.newest("fastapi")
    if newest is not None and newest < (0, 100):
        return False
    return any(
        name.startswith("pydantic_settings") or (name == "pydantic" and member in _V2_ONLY)
        for module in service.project.service
        for name, member, *_ in module.imported
    )


@fact
def ends_after_response(service: Service) -> bool:
    """What stands after the `yield` of a dependency runs when the client already has its answer."""
    newest = service.requirements.newest("fastapi")
    return newest is None or not _BEFORE <= newest < _SINCE


def ends_before_background(service: Service) -> bool:
    """Dependencies are over before background tasks and streams run (FastAPI 0.106 to 0.117)."""
    return not ends_after_response(service)


@fact
def has_scopes(service: Service) -> bool:
    """Whatever FastAPI the project admits, it has `Depends(..., scope="function")`. Without a lower bound nobody knows."""
    bounds = (_LOWEST.search(specifier) for specifier in service.requirements.stated.get("fastapi", ()))
    lowest = next((bound for bound in bounds if bound is not None), None)
    return lowest is not None and (int(lowest[1]), int(lowest[2])) >= _SCOPED


def takes_lifespan(service: Service) -> bool:
    """Some FastAPI that the project admits runs the `lifespan` that an app is given."""
    newest = service.requirements.newest("fastapi")
    return newest is None or newest >= _LIFESPAN


@fact
def routes_are_nested(service: Service) -> bool:
    """`app.routes` holds included routers as one entry each."""
    newest = service.requirements.newest("fastapi")
    return newest is None or newest >= _FLAT
