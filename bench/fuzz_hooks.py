"""What the fuzzer must know beyond the document: a key belongs to one request, and another with the same key is refused."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import schemathesis

from fastness.idempotency.key import HEADER, InvalidKey, parse


@schemathesis.hook
def before_call(_context: Any, case: Any, _kwargs: Any) -> None:
    """Give a request that has a valid key a new one; what is not a key stays as it was made up."""
    for name in [name for name in case.headers or () if name.lower() == HEADER.lower()]:
        try:
            parse([case.headers[name]])
        except InvalidKey:
            continue
        case.headers[name] = str(uuid4())
