"""What all schemas share: strict input, bounded by what they declare, and output that never changes under way."""

from typing import Any

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _whole(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# For `Annotated[int, ..., WHOLE]`. JSON has one kind of number: 60.0 is as whole as 60. Text and true are not.
WHOLE = BeforeValidator(_whole)


class InModel(BaseModel):
    """A request body: no unknown fields, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class QueryModel(BaseModel):
    """Query parameters: no unknown ones. Values come as text and are converted."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OutModel(BaseModel):
    """A response body."""

    model_config = ConfigDict(extra="forbid", frozen=True)
