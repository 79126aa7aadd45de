"""Jobs keep their promises on PostgreSQL and on SQLite."""

import pytest
from sqlalchemy import text

from fastness.jobs import Jobs
from fastness.testing import ManualClock
from fastness.testing.conformance.jobs import JobsConformance


class TestJobs(JobsConformance):
    @pytest.fixture
    def clock(self):
        return ManualClock(1_000_000.0)

    @pytest.fixture
    def make_jobs(self, database, clock):
        if database.dialect == "sqlite":
            return lambda **options: Jobs(database, clock=clock, **options)
        return lambda **options: Jobs(database, **options)

    @pytest.fixture
    def pass_time(self, database, clock):
        async def pass_time(seconds):
            clock.advance(seconds)
            if database.dialect == "postgresql":
                async with database.engine.begin() as connection:
                    await connection.execute(
                        text(
                            "UPDATE procrastinate_jobs SET scheduled_at = scheduled_at - make_interval(secs => :s), "
                            "args = args || jsonb_build_object('at', (args->>'at')::float8 - :s)"
                        ),
                        {"s": seconds},
                    )
                    await connection.execute(
                        text("UPDATE procrastinate_events SET at = at - make_interval(secs => :s)"), {"s": seconds}
                    )

        return pass_time
