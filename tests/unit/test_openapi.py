"""The OpenAPI document as the service answers."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query

from fastness import openapi
from fastness.problems import ProblemType

LIMITED = ProblemType("urn:problem-type:test:limited", "Slow down", 429, "Too many.")


class Guard:
    """A dependency that documents itself."""

    async def __call__(self) -> None: ...

    def document_operation(self, operation: dict[str, Any]) -> None:
        openapi.add_problem(operation, LIMITED)
        operation["x-guarded"] = True


def nested(_: Annotated[None, Depends(Guard())]) -> None: ...


def service() -> FastAPI:
    app = FastAPI()
    router = APIRouter(prefix="/items")

    @router.get("/{item}", dependencies=[Depends(nested)])
    async def read(item: int, page: Annotated[int, Query()] = 1) -> dict[str, int]:
        return {}

    @app.get("/open", responses={429: {"description": "Our own words."}}, dependencies=[Depends(Guard())])
    async def unguarded() -> None: ...

    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/v2")
    app.openapi = openapi.document(app)  # type: ignore[method-assign]
    return app


def test_validation_errors_are_documented_as_they_are_sent() -> None:
    """FastAPI's 422 schema is replaced, also for routers that are included twice."""
    schema = service().openapi()
    for prefix in ("/v1", "/v2"):
        content = schema["paths"][f"{prefix}/items/{{item}}"]["get"]["responses"]["422"]["content"]
        assert content["application/problem+json"]["schema"] == {"$ref": "#/components/schemas/ValidationProblem"}
    assert {"Problem", "ValidationProblem"} <= schema["components"]["schemas"].keys()
    assert not {"HTTPValidationError", "ValidationError"} & schema["components"]["schemas"].keys()


def test_guards_describe_themselves_wherever_they_stand() -> None:
    """A guard deep in the dependency tree is documented on each operation that it guards."""
    schema = service().openapi()
    operation = schema["paths"]["/v2/items/{item}"]["get"]
    assert operation["x-guarded"] is True
    response = operation["responses"]["429"]
    assert response["description"] == "Too many."
    examples = response["content"]["application/problem+json"]["examples"]
    assert examples["Slow down"]["value"]["type"] == LIMITED.uri


def test_problems_that_share_a_status_are_all_listed() -> None:
    """Two guards may refuse with the same status for different reasons; each is said once."""
    operation: dict[str, Any] = {}
    other = ProblemType("urn:problem-type:test:quota", "Quota used up", 429, "Nothing left.")
    openapi.add_problem(operation, LIMITED)
    openapi.add_problem(operation, other, LIMITED)
    response = operation["responses"]["429"]
    assert response["description"] == "Too many.\nNothing left."
    assert set(response["content"]["application/json"]["examples"]) == {"Slow down", "Quota used up"}


def test_a_type_that_says_when_to_try_again_documents_the_header() -> None:
    """`Retry-After` is shown where one of the types of a status has it, and headers that are there already stay."""
    away = ProblemType("urn:problem-type:test:away", "Away", 429, retry_after=5)
    operation: dict[str, Any] = {}
    openapi.add_problem(operation, LIMITED)
    assert "headers" not in operation["responses"]["429"]
    operation["responses"]["429"]["headers"] = {"X-Own": {}}
    openapi.add_problem(operation, away)
    assert set(operation["responses"]["429"]["headers"]) == {"X-Own", "Retry-After"}
    assert set(openapi.problem_response(away)["headers"]) == {"Retry-After"}


def test_what_the_app_declares_itself_stands() -> None:
    """A response that the app documents is not overwritten."""
    operation = service().openapi()["paths"]["/open"]["get"]
    assert operation["responses"]["429"] == {"description": "Our own words."}


def test_every_operation_declares_a_default_problem() -> None:
    """A client generator finds the error type of every operation."""
    for path in service().openapi()["paths"].values():
        for operation in path.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_the_document_is_made_once_and_again_when_routes_come() -> None:
    """Routes that are added later are documented too."""
    app = service()
    assert app.openapi() is app.openapi()

    @app.get("/late", dependencies=[Depends(Guard())])
    async def late(page: int) -> None: ...

    operation = app.openapi()["paths"]["/late"]["get"]
    assert operation["x-guarded"] is True
    assert "ValidationProblem" in str(operation["responses"]["422"])
