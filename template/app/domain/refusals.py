"""Rules of webhook delivery that say no. What each becomes on the wire is in `app.api.problems`."""

from app.domain.errors import DomainError


class UnacceptableURL(DomainError):
    """Deliveries cannot go to this URL."""


class EndpointLimitReached(DomainError):
    """The tenant has as many endpoints as it may have."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"A tenant may have {limit} endpoints. Delete one that is not needed.")


class PayloadTooLarge(DomainError):
    """The event's payload is larger than a webhook should be."""

    def __init__(self, *, size: int, limit: int) -> None:
        super().__init__(f"The payload has {size} bytes as compact JSON; {limit} are allowed.")


class DeliveryNotFinished(DomainError):
    """Only a delivery that has failed or was cancelled can be retried."""

    def __init__(self, status: str) -> None:
        super().__init__(f"This delivery is {status}; only failed and cancelled deliveries can be retried.")


class EndpointDisabled(DomainError):
    """The endpoint takes no deliveries at present."""

    def __init__(self) -> None:
        super().__init__("The endpoint of this delivery is disabled. Enable it first.")
