"""What jobs must do on every database: the promises of `fastness.jobs`, from the enqueue to the dead letter."""

from fastness.testing.conformance.jobs._attempts import Attempts
from fastness.testing.conformance.jobs._base import Script
from fastness.testing.conformance.jobs._care import Care
from fastness.testing.conformance.jobs._queue import Queueing

__all__ = ["JobsConformance", "Script"]


class JobsConformance(Queueing, Attempts, Care):
    """Subclass it and override the fixtures `make_jobs` and `pass_time`.

    The database is empty but for the tables of jobs.
    """
