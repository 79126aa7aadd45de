"""One error envelope: RFC 9457 problem documents for everything that is not 2xx."""

from fastness.problems.handlers import MEDIA_TYPE, VALIDATION, ProblemMiddleware, handlers, respond
from fastness.problems.types import Problem, ProblemType, plain

__all__ = ["MEDIA_TYPE", "VALIDATION", "Problem", "ProblemMiddleware", "ProblemType", "handlers", "plain", "respond"]
