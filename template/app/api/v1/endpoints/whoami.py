"""Who the service takes the caller for: the first thing to ask when a request is refused."""

from fastapi import APIRouter
from fastness.auth import CurrentPrincipal

from app.schemas.whoami import WhoAmIOut

router = APIRouter(tags=["identity"])


@router.get("/whoami")
async def who_am_i(principal: CurrentPrincipal) -> WhoAmIOut:
    """The caller, as its credential says."""
    return WhoAmIOut(subject=principal.subject, tenant=principal.tenant, scopes=sorted(principal.scopes))
