"""Audit events: security-relevant actions, as a log category of their own.

An event says what happened, with what outcome, and to whom; it never carries a secret.
"""

from __future__ import annotations

import logging
from typing import Any

from fastness.context import current

logger = logging.getLogger("fastness.audit")


def record(action: str, /, *, outcome: str = "denied", **facts: Any) -> None:
    """Log one audit event, with the principal, tenant, client and request id of the current request.

    Args:
        action: what happened, as `area.verb`: `auth.refuse`, `ratelimit.hit`, `key.rotate`, `settings.change`.
        outcome: `denied`, `allowed` or `changed`.
        facts: further plain values; never a secret, a token or a request body.
    """
    context = current()
    event = {"category": "audit", "action": action, "outcome": outcome, **facts}
    if context is not None:
        event["client"] = context.client
        event["request_id"] = context.request_id
        event.setdefault("principal", context.principal)
        event.setdefault("tenant", context.tenant)
    # `extra` reaches the record as attributes, which the formatters of `fastness.telemetry` write as fields.
    logger.warning(action, extra={"audit": event}) if outcome == "denied" else logger.info(action, extra={"audit": event})
