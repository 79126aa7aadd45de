"""What a worker shows of its queues."""

from prometheus_client import REGISTRY

from fastness.jobs.metrics import Metrics
from fastness.jobs.model import QueueStatus


def shown(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(f"fastness_jobs_{name}", labels)


def test_queues_are_shown_until_they_are_empty() -> None:
    """Depth, age, running and failed, each by its queue; one that is gone holds nothing, and not what it last held."""
    metrics = Metrics()
    mail = QueueStatus(queue="mail", waiting=1, scheduled=2, running=3, failed=4, oldest=5.5)
    names = ("waiting", "scheduled", "running", "failed", "oldest_seconds")
    metrics.sampled([mail, QueueStatus(queue="other", waiting=9, scheduled=9, running=9, failed=9, oldest=9)])
    assert [shown(name, queue="mail") for name in names] == [1, 2, 3, 4, 5.5]
    metrics.sampled([mail])
    assert [shown(name, queue="mail") for name in names] == [1, 2, 3, 4, 5.5]
    assert [shown(name, queue="other") for name in names] == [0, 0, 0, 0, 0]


def test_what_became_of_the_jobs_of_dead_workers_is_counted() -> None:
    """Apart: those that run again, and those that have failed; and what was pruned."""
    metrics = Metrics()
    before = [shown("rescued_total", outcome=outcome) or 0 for outcome in ("queued", "failed")]
    pruned = shown("pruned_total") or 0
    metrics.rescued(2, 1)
    metrics.pruned(7)
    assert [shown("rescued_total", outcome=outcome) for outcome in ("queued", "failed")] == [before[0] + 2, before[1] + 1]
    assert shown("pruned_total") == pruned + 7
