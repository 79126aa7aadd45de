"""The SQL that works on procrastinate's tables beyond procrastinate's own functions. One constant for each statement.

What is ours beside the task's arguments lives in the column `args`, a JSON object: `args`, `at` (enqueued, seconds since
1970), `key`, `trace`, `request`, `crashes`, `strange`, `error`, `done` (effects of `once`).
"""

from __future__ import annotations

# As sessions of SQLAlchemy take them. Everything that a unit of work enqueues goes in one round trip. A job that stands for
# another of the same key is locked until the transaction ends, so that no worker starts it before its reason is committed;
# procrastinate's trigger tells workers of new rows only, so they are told of that one here.
INSERT = """
WITH made AS (
    INSERT INTO procrastinate_jobs (queue_name, task_name, priority, lock, queueing_lock, args, scheduled_at)
    SELECT queue, task, priority, lock, key, args, CASE WHEN delay > 0 THEN now() + make_interval(secs => delay) END
    FROM jsonb_to_recordset(CAST(:jobs AS jsonb)) AS j(
        queue text, task text, priority int, lock text, key text, args jsonb, delay float8
    )
    ON CONFLICT (queueing_lock) WHERE status = 'todo' DO UPDATE SET queueing_lock = EXCLUDED.queueing_lock
    RETURNING id, queue_name, xmax = 0 AS created
)
SELECT id, created, CASE WHEN NOT created THEN pg_notify(
    'procrastinate_any_queue_v1', json_build_object('type', 'job_inserted', 'job_id', id)::text
) END FROM made
"""

_RECORD = """
SELECT id, task_name, queue_name, status::text, priority, args, attempts, lock, scheduled_at, (
    SELECT max(at) FROM procrastinate_events e
    WHERE e.job_id = j.id AND e.type IN ('succeeded', 'failed', 'cancelled', 'aborted')
) FROM procrastinate_jobs j
"""
STATES = "SELECT id, status::text FROM procrastinate_jobs WHERE id = ANY(CAST(:ids AS bigint[]))"
GET = _RECORD + "WHERE id = :id"
LIST = (
    _RECORD
    + """
WHERE (CAST(:statuses AS text) IS NULL OR status = ANY(CAST(:statuses AS procrastinate_job_status[])))
    AND (CAST(:queue AS text) IS NULL OR queue_name = :queue)
    AND (CAST(:task AS text) IS NULL OR task_name = :task)
    AND (CAST(:before AS bigint) IS NULL OR id < :before)
ORDER BY id DESC LIMIT :limit
"""
)
CANCEL = "SELECT procrastinate_cancel_job_v1(:id, true, false)"
RETRY = """
UPDATE procrastinate_jobs SET status = 'todo', abort_requested = false, scheduled_at = NULL, queueing_lock = NULL,
    worker_id = NULL, args = args || '{"crashes"\\: 0, "strange"\\: 0}'
WHERE id = :id AND status IN ('failed', 'cancelled', 'aborted')
RETURNING pg_notify('procrastinate_any_queue_v1', json_build_object('type', 'job_inserted', 'job_id', id)::text)
"""
MARK = """
WITH held AS (
    SELECT id, coalesce(args->'done', '{}') ? CAST(:effect AS text) AS done FROM procrastinate_jobs
    WHERE id = :id AND status = 'doing' AND attempts = :attempts AND worker_id = :worker FOR UPDATE
), marked AS (
    UPDATE procrastinate_jobs j
    SET args = jsonb_set(j.args, '{done}', coalesce(j.args->'done', '{}') || jsonb_build_object(CAST(:effect AS text), true))
    FROM held WHERE j.id = held.id AND NOT held.done
)
SELECT done FROM held
"""

# As psycopg takes them, on a worker's own connections.
VERSION = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL, obj_description(to_regclass('procrastinate_jobs'), 'pg_class')"
# procrastinate's own way to take one job, several times in one round trip. The function is called anew for each row only as
# long as an argument depends on it.
CLAIM = """
SELECT j.id, j.task_name, j.queue_name, j.attempts, j.args
FROM generate_series(1, %(limit)s) AS n,
    LATERAL procrastinate_fetch_job_v2(%(queues)s::varchar[], %(worker)s::bigint + 0 * n) AS j
WHERE j.id IS NOT NULL
"""
DUE_IN = """
SELECT extract(epoch FROM min(coalesce(scheduled_at, now())) - now())::float8 FROM procrastinate_jobs
WHERE status = 'todo' AND (%(queues)s::varchar[] IS NULL OR queue_name = ANY(%(queues)s::varchar[]))
"""
# Only while the claim holds: a worker that was taken for dead, and comes back, changes nothing.
SETTLE = """
UPDATE procrastinate_jobs j SET
    status = (CASE WHEN s.status = 'todo' AND j.abort_requested THEN 'aborted' ELSE s.status END)::procrastinate_job_status,
    attempts = j.attempts + 1,
    abort_requested = false,
    worker_id = NULL,
    scheduled_at = CASE WHEN s.status = 'todo' THEN now() + make_interval(secs => s.delay) ELSE j.scheduled_at END,
    queueing_lock = CASE WHEN s.status = 'todo' THEN NULL ELSE j.queueing_lock END,
    args = CASE WHEN s.error IS NULL AND s.strange IS NULL THEN j.args
        ELSE j.args || jsonb_strip_nulls(jsonb_build_object('error', s.error, 'strange', s.strange)) END
FROM jsonb_to_recordset(%(rows)s::jsonb) AS s(
    id bigint, attempts int, worker bigint, status text, delay float8, error text, strange int
)
WHERE j.id = s.id AND j.status = 'doing' AND j.attempts = s.attempts AND j.worker_id = s.worker
RETURNING j.id
"""
TO_CANCEL = """
SELECT s.id FROM jsonb_to_recordset(%(rows)s::jsonb) AS s(id bigint, attempts int, worker bigint)
LEFT JOIN procrastinate_jobs j
    ON j.id = s.id AND j.status = 'doing' AND j.attempts = s.attempts AND j.worker_id = s.worker AND NOT j.abort_requested
WHERE j.id IS NULL
"""
BEAT = "UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = %(worker)s RETURNING id"
# What this worker took without learning of it, because the answer got lost with its connection.
RETURN = """
UPDATE procrastinate_jobs SET status = 'todo', worker_id = NULL, queueing_lock = NULL
WHERE status = 'doing' AND worker_id = %(worker)s AND NOT abort_requested AND NOT id = ANY(%(ids)s::bigint[])
RETURNING id
"""
# A worker that died is forgotten by procrastinate_prune_stalled_workers_v1, which leaves its jobs without one. Several may
# look at the same time: each job is one's alone.
RESCUE = """
WITH orphans AS (
    SELECT id, coalesce((args->>'crashes')::int, 0) + 1 AS crashes FROM procrastinate_jobs
    WHERE status = 'doing' AND worker_id IS NULL
    ORDER BY id LIMIT 500 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE procrastinate_jobs j SET
        status = (CASE
            WHEN j.abort_requested THEN 'aborted' WHEN o.crashes >= %(crashes)s THEN 'failed' ELSE 'todo'
        END)::procrastinate_job_status,
        attempts = j.attempts + 1,
        abort_requested = false,
        scheduled_at = NULL,
        queueing_lock = NULL,
        args = j.args || jsonb_build_object('crashes', o.crashes, 'error', %(error)s::text)
    FROM orphans o WHERE j.id = o.id
    RETURNING j.status
)
SELECT count(*) FILTER (WHERE status = 'todo'), count(*) FILTER (WHERE status = 'failed') FROM taken
"""
PRUNE = """
DELETE FROM procrastinate_jobs WHERE id IN (
    SELECT j.id FROM procrastinate_jobs j
    WHERE j.status = ANY(%(statuses)s::procrastinate_job_status[]) AND NOT EXISTS (
        SELECT FROM procrastinate_events e
        WHERE e.job_id = j.id AND e.type <> 'scheduled' AND e.at > now() - make_interval(secs => %(seconds)s)
    )
    ORDER BY j.id LIMIT %(limit)s FOR UPDATE OF j SKIP LOCKED
)
"""
# Two halves, for each of which there is an index; what succeeded is not counted.
SAMPLE = """
SELECT queue_name,
    count(*) FILTER (WHERE status = 'todo' AND due), count(*) FILTER (WHERE status = 'todo' AND NOT due),
    count(*) FILTER (WHERE status = 'doing'), count(*) FILTER (WHERE status = 'failed'),
    coalesce(max(extract(epoch FROM now()) - since) FILTER (WHERE status = 'todo' AND due), 0)::float8
FROM (
    SELECT queue_name, status, coalesce(scheduled_at <= now(), true) AS due,
        greatest((args->>'at')::float8, extract(epoch FROM scheduled_at)) AS since
    FROM procrastinate_jobs WHERE status IN ('todo', 'doing')
    UNION ALL
    SELECT queue_name, status, false, 0 FROM procrastinate_jobs WHERE status = 'failed'
) AS jobs GROUP BY queue_name ORDER BY queue_name
"""
