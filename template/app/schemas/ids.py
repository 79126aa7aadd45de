"""Ids on the wire."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from app.domain.ids import tagged


@dataclass(frozen=True, slots=True)
class TaggedId:
    """Writes a UUID as `prefix_hex`, and reads nothing else: `Annotated[UUID, TaggedId("evt")]`."""

    prefix: str

    @property
    def pattern(self) -> str:
        return rf"^{self.prefix}_[0-9a-f]{{32}}$"

    def parse(self, value: Any) -> UUID:
        if isinstance(value, UUID):
            return value
        if isinstance(value, str) and re.fullmatch(self.pattern, value):
            return UUID(hex=value[-32:])
        raise PydanticCustomError("id", "Input should be an id that starts with {prefix}_", {"prefix": self.prefix})

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.parse,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: tagged(self.prefix, value), return_schema=core_schema.str_schema()
            ),
        )

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": self.pattern,
            "examples": [f"{self.prefix}_0192f3c17a4070008000000000000000"],
        }
