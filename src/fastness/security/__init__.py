"""What a browser and a stranger may do: response headers, trusted hosts, CORS and size limits, all from one policy."""

from fastness.security.middleware import SecurityMiddleware
from fastness.security.policy import CORS, SecurityPolicy

__all__ = ["CORS", "SecurityMiddleware", "SecurityPolicy"]
