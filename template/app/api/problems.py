"""What each business error is on the wire. One table, which `app.main` gives to the problem handlers."""

from fastness.database import UNAVAILABLE
from fastness.problems import ProblemType

from app import NAME

# feature: example
from app.api.refusals import REFUSALS

# /feature: example
from app.domain.errors import NotFound, VersionMismatch

NO_TENANT = ProblemType(
    f"urn:problem-type:{NAME}:no-tenant", "The credential names no tenant", 403, "Use a credential with a tenant."
)
PRECONDITION_REQUIRED = ProblemType(
    f"urn:problem-type:{NAME}:precondition-required",
    "If-Match is missing",
    428,
    "Send the ETag of what you have read, so that no change is lost.",
)
NOT_FOUND = ProblemType(
    f"urn:problem-type:{NAME}:not-found", "There is no such thing", 404, "It does not exist, or belongs to another tenant."
)
VERSION_MISMATCH = ProblemType(
    f"urn:problem-type:{NAME}:version-mismatch",
    "It has changed",
    412,
    "Somebody changed it since it was read; read it again and decide anew.",
)
DATABASE_UNAVAILABLE = ProblemType(
    f"urn:problem-type:{NAME}:database-unavailable",
    "The database does not answer",
    503,
    "Try again after `Retry-After` seconds.",
    retry_after=5,
)

PROBLEMS: dict[type[Exception], ProblemType] = {
    NotFound: NOT_FOUND,
    VersionMismatch: VERSION_MISMATCH,
    **dict.fromkeys(UNAVAILABLE, DATABASE_UNAVAILABLE),
    # feature: example
    **REFUSALS,
    # /feature: example
}
