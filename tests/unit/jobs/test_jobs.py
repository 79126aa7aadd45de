"""Jobs and workers: what is refused when they are put together."""

from datetime import UTC, datetime

import pytest

from fastness.database import Database
from fastness.jobs import Injected, Intervals, Job, JobError, Jobs, Periodic, Retention, Worker, task
from fastness.jobs.model import Claim


class Sender:
    """Something that the worker gives."""


@task(name="send", unique=True)
async def send(number: int = 1, *, sender: Injected[Sender]) -> None:
    """Send."""


@task(name="send")
async def other() -> None:
    """Of the same name."""


@pytest.fixture
def database(tmp_path):
    return Database(f"sqlite:///{tmp_path / 'jobs.db'}")


def test_two_tasks_of_one_name_are_refused(database) -> None:
    """Stored jobs could not tell them apart; the same one twice is one."""
    Jobs(database, tasks=[send, send])
    with pytest.raises(ValueError, match="two tasks are named 'send'"):
        Jobs(database, tasks=[send, other])


def test_periodic_tasks_are_among_the_tasks_and_told_apart(database) -> None:
    """Each has times of its own."""
    item = Periodic(task=send, every=60)
    with pytest.raises(ValueError, match="not among the tasks"):
        Jobs(database, tasks=[], periodic=[item])
    with pytest.raises(ValueError, match="tell them apart"):
        Jobs(database, tasks=[send], periodic=[item, Periodic(task=send, every=5)])
    Jobs(database, tasks=[send], periodic=[item, Periodic(task=send, every=5, name="often")])


def test_a_worker_without_what_its_tasks_want_is_refused(database) -> None:
    """When it is made, and not when the first job comes."""
    jobs = Jobs(database, tasks=[send])
    with pytest.raises(JobError, match=r"'send' wants .*Sender"):
        Worker(jobs)
    Worker(jobs, provide={Sender: Sender()})


@pytest.mark.parametrize("options", [{"concurrency": 0}, {"crashes": 0}, {"grace": -1}, {"grace": float("inf")}])
def test_options_of_a_worker_have_bounds(database, options) -> None:
    """And say which is wrong."""
    with pytest.raises(ValueError, match=next(iter(options))):
        Worker(Jobs(database, tasks=[]), **options)


def test_intervals_and_retention_have_bounds(database) -> None:
    """A worker must be able to speak twice before it is taken for dead."""
    jobs = Jobs(database, tasks=[])
    for wrong in ({"poll": 0}, {"beat": 20}, {"dead_after": 5}):
        with pytest.raises(ValueError, match="dead_after at least twice beat"):
            Worker(jobs, intervals=Intervals(**wrong))
    with pytest.raises(ValueError, match="negative"):
        Worker(jobs, retention=Retention(failed=-1))


def test_a_job_shows_no_arguments(database) -> None:
    """They may be secret, and a task may log its job."""
    claim = Claim(
        id=7,
        task="send",
        queue="mail",
        attempts=1,
        worker=1,
        arguments='{"a": "hidden"}',
        enqueued_at=0,
        trace=None,
        request_id=None,
    )
    job = Job(7, "send", "mail", 2, datetime.fromtimestamp(0, UTC), claim, Jobs(database, tasks=[]).engine)
    assert repr(job) == "Job(id=7, task='send', queue='mail', attempt=2)"


def test_a_unique_task_is_keyed_by_its_arguments(database) -> None:
    """Given or by default, the same arguments make the same key; a key that is given comes first."""
    jobs = Jobs(database, tasks=[send])
    one, same, two = (jobs.new(send, {"number": number}).key for number in (1, 1, 2))
    assert one == same != two
    assert jobs.new(send, {}, key="mine").key == "send:mine"
