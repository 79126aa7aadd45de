"""Dependencies of every endpoint: what the service holds, and for whom a request is made."""

from typing import Annotated, Any

from fastapi import Depends, Request
from fastness.auth import CurrentPrincipal
from fastness.openapi import add_problem
from fastness.problems import Problem

from app.api.problems import NO_TENANT
from app.infra import Infra


async def _infra(request: Request) -> Infra:
    infra: Infra = request.state.infra
    return infra


CurrentInfra = Annotated[Infra, Depends(_infra)]


class _Tenant:
    """The tenant that the caller acts for. Every query of an endpoint is bound to it."""

    async def __call__(self, principal: CurrentPrincipal) -> str:
        if not principal.tenant:
            raise Problem(NO_TENANT)
        return principal.tenant

    def document_operation(self, operation: dict[str, Any]) -> None:
        add_problem(operation, NO_TENANT)


CurrentTenant = Annotated[str, Depends(_Tenant())]
