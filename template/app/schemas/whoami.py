"""Who the service takes the caller for."""

from app.schemas.base import OutModel


class WhoAmIOut(OutModel):
    """The authenticated caller."""

    subject: str
    tenant: str | None
    scopes: list[str]
