"""What each refusal of `app.domain.refusals` is on the wire."""

from fastness.problems import ProblemType

from app import NAME
from app.domain.refusals import (
    DeliveryNotFinished,
    EndpointDisabled,
    EndpointLimitReached,
    PayloadTooLarge,
    UnacceptableURL,
)

REFUSALS: dict[type[Exception], ProblemType] = {
    UnacceptableURL: ProblemType(
        f"urn:problem-type:{NAME}:unacceptable-url",
        "The URL cannot be delivered to",
        400,
        "Use another URL; `detail` says why.",
    ),
    PayloadTooLarge: ProblemType(
        f"urn:problem-type:{NAME}:payload-too-large", "The payload is too large", 413, "Send a link to the data instead."
    ),
    EndpointLimitReached: ProblemType(
        f"urn:problem-type:{NAME}:endpoint-limit", "There are too many endpoints", 409, "Delete one that is not needed."
    ),
    DeliveryNotFinished: ProblemType(
        f"urn:problem-type:{NAME}:delivery-not-finished",
        "The delivery cannot be retried",
        409,
        "It is still under way, or has succeeded.",
    ),
    EndpointDisabled: ProblemType(
        f"urn:problem-type:{NAME}:endpoint-disabled", "The endpoint is disabled", 409, "Enable the endpoint first."
    ),
}
