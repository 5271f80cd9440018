"""
The rows that reading is measured on: 60 daily partitions of skewed system logs and calls, with their rollups.

Made inside the server, day by day: INSERT .. SELECT from generate_series spares the client, which would need more time
for the text of a COPY than the server for the rows.  Every eight rows are one request; components, error types, users
and companies are skewed as in life, and one error type, one word and one component are rare.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import LiteralString

import psycopg

from logs_db.environment import ENVIRONMENT
from logs_db.partitions import ensure_days
from migrator.upgrade import upgrade_to_head

DAYS = 60
CALLS_SHARE = 10
"""A call of a model for so many system logs."""
ROW_BYTES = 700
"""What a row takes on disk with its indexes and its part of the rollups, as measured."""
RARE_ERROR = "DiskFullError"
RARE_WORD = "quux77"

_V7: LiteralString = """
(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3)
 || '8' || substr(md5(n::text), 4, 15))::uuid
"""
_SYSTEM: LiteralString = f"""
INSERT INTO public.system_logs (id, created_at, level, component, message, error_type, error_message, user_id,
                                company_id, request_id, extra_data, trace_id, span_id, service, host)
SELECT {_V7}, at, level, component,
       'request ' || n / 8 || ' took ' || (n * 7) %% 997 || ' ms in ' || component || ' for the list of candidates'
           || CASE WHEN n %% 100000 = 50000 THEN ' {RARE_WORD}' ELSE '' END,
       error_type, CASE WHEN error_type IS NOT NULL THEN 'could not finish step ' || n %% 40 END,
       CASE WHEN who < 0.8 THEN md5('user' || floor(person * 20000))::uuid END,
       CASE WHEN who < 0.8 THEN md5('company' || floor(person * 20000)::int / 40)::uuid END,
       'req-' || n / 8, jsonb_build_object('path', '/api/v1/jobs/' || n %% 500, 'status', 200 + n %% 4),
       md5('trace' || n / 8), left(md5(n::text), 16), 'web', 'host-' || n %% 6
FROM (SELECT *, CASE WHEN n %% 100000 = 70000 THEN '{RARE_ERROR}'
                     WHEN level IN ('ERROR', 'CRITICAL') THEN 'Error' || floor(random() ^ 3 * 5) || '_' || component END
                AS error_type
      FROM (SELECT n, %(day)s::timestamptz + n %% %(rows)s * interval '1 day' / %(rows)s AS at,
                   'component_' || floor(random() ^ 3 * 40) AS component,
                   (ARRAY['INFO', 'DEBUG', 'WARNING', 'ERROR', 'CRITICAL'])[width_bucket(
                       random(), ARRAY[0, 0.7, 0.9, 0.97, 0.999]::float8[])] AS level,
                   (hashint8(n / 8) & 1023) / 1024.0 AS who,
                   ((hashint8extended(n / 8, 7) & 1048575) / 1048576.0) ^ 3 AS person
            FROM generate_series(%(first)s::bigint, %(first)s::bigint + %(rows)s::bigint - 1) AS n) AS drawn) AS faulty
"""
_CALLS: LiteralString = f"""
INSERT INTO public.llm_logs (id, created_at, provider, model, operation, prompt_tokens, completion_tokens, total_tokens,
                             cost_usd, latency_ms, status, error_type, user_id, company_id, request_id, trace_id)
SELECT {_V7}, at, 'provider_' || pick %% 3, 'model_' || pick, 'operation_' || n %% 4, 500 + n %% 700, n %% 300,
       500 + n %% 700 + n %% 300, 0.0001 * (n %% 977), 200 + n %% 4000,
       CASE WHEN n %% 50 = 0 THEN 'error' ELSE 'success' END, CASE WHEN n %% 50 = 0 THEN 'TimeoutError' END,
       md5('user' || n %% 20000)::uuid, md5('company' || n %% 500)::uuid,
       'req-' || n * {CALLS_SHARE} / 8, md5('trace' || n * {CALLS_SHARE} / 8)
FROM (SELECT n, %(day)s::timestamptz + n %% %(rows)s * interval '1 day' / %(rows)s AS at,
             floor(random() ^ 2 * 12)::int AS pick
      FROM generate_series(%(first)s::bigint, %(first)s::bigint + %(rows)s::bigint - 1) AS n) AS drawn
"""
_COUNTED: LiteralString = """
INSERT INTO public.system_log_hours
SELECT date_trunc('hour', created_at), level, component, coalesce(error_type, ''), count(*)
FROM public.system_logs WHERE created_at >= %(day)s AND created_at < %(day)s + interval '1 day' GROUP BY 1, 2, 3, 4
"""
_SUMMED: LiteralString = """
INSERT INTO public.llm_log_hours
SELECT date_trunc('hour', created_at), provider, model, coalesce(operation, ''), status, count(*), count(error_type),
       sum(prompt_tokens), sum(completion_tokens), sum(total_tokens), 0, 0, 0, sum(cost_usd), 0, sum(latency_ms)
FROM public.llm_logs WHERE created_at >= %(day)s AND created_at < %(day)s + interval '1 day' GROUP BY 1, 2, 3, 4, 5
"""
_WAS_COUNTED: LiteralString = """
INSERT INTO public.rollup_days VALUES ('system_logs', %(day)s, %(rows)s, now()), ('llm_logs', %(day)s, %(calls)s, now())
"""


def fill(url: str, rows: int) -> float:
    """Bring the database at *url* to its head and fill it, on as many connections as cores; the seconds it took."""
    upgrade_to_head(ENVIRONMENT, url)
    days = filled_days()
    with psycopg.connect(url, autocommit=True) as connection:
        for table in ("system_logs", "llm_logs"):
            ensure_days(connection, table, days)
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(partial(_fill_day, url, rows // DAYS), range(DAYS), days))
    with psycopg.connect(url, autocommit=True) as connection:
        for day in days[:-1]:
            places = {"day": datetime(day.year, day.month, day.day, tzinfo=UTC)}
            connection.execute(_WAS_COUNTED, places | {"rows": rows // DAYS, "calls": rows // DAYS // CALLS_SHARE})
        connection.execute("VACUUM (ANALYZE, PARALLEL 0)")
    return time.perf_counter() - started


def filled_days() -> list[date]:
    """The days that are filled, the oldest first: the last one is yesterday, and not counted yet."""
    today = datetime.now(UTC).date()
    return [today - timedelta(days=before) for before in range(DAYS, 0, -1)]


def _fill_day(url: str, rows: int, number: int, day: date) -> None:
    parameters = {"day": datetime(day.year, day.month, day.day, tzinfo=UTC)}
    calls = rows // CALLS_SHARE
    with psycopg.connect(url, autocommit=True, options="-c timezone=UTC") as connection:
        connection.execute(_SYSTEM, parameters | {"rows": rows, "first": number * rows})
        connection.execute(_CALLS, parameters | {"rows": calls, "first": number * calls})
        connection.execute(_COUNTED, parameters)
        connection.execute(_SUMMED, parameters)
