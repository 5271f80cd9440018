"""The check of the queue: how much waits, how long, and how near it is to refusing events."""

import redis

from api.health.dependencies import Dependencies
from api.health.result import CheckResult, Finding, failure, warning
from api.health.thresholds import (
    MEMORY_FAIL_SHARE,
    MEMORY_WARN_SHARE,
    QUEUE_FAIL_AGE_SECONDS,
    QUEUE_FAIL_SHARE,
    QUEUE_WARN_AGE_SECONDS,
    QUEUE_WARN_EVENTS,
    QUEUE_WARN_SHARE,
)
from log_events.event_queue import QueueDepth
from log_events.keys import QueueKeys

_MORE_WORKERS = "see the check of the workers, and start more of them if they are busy"
_MIB = 1024 * 1024


def check_queue(dependencies: Dependencies) -> CheckResult:
    """How many events wait, and whether more will be taken."""
    queue = dependencies.queue
    wrong = _wrong_types(queue.client, queue.keys)
    if wrong:
        return CheckResult.of(wrong, value=None, unit="events")
    depth = queue.depth()
    max_bytes = dependencies.settings.logs_queue_max_bytes
    findings = [*_depth_findings(depth), *_size_findings(depth, max_bytes), *_memory_findings(queue.client)]
    return CheckResult.of(findings, value=depth.events, unit="events", summary=_summary(depth, max_bytes))


def _wrong_types(client: redis.Redis, keys: QueueKeys) -> list[Finding]:
    """Findings for keys that somebody took for something else: nothing gets through the queue until they are free."""
    expected = {keys.list: "list", keys.stream: "stream", keys.events: "string", keys.bytes: "string"}
    with client.pipeline(transaction=False) as pipeline:
        for key in expected:
            pipeline.type(key)
        types = [answer.decode() for answer in pipeline.execute()]
    return [
        failure(f"{key} is a {found}, not a {wanted}: RENAME {key} away, find out who wrote it, and events flow again.")
        for (key, wanted), found in zip(expected.items(), types, strict=True)
        if found not in {wanted, "none"}
    ]


def _depth_findings(depth: QueueDepth) -> list[Finding]:
    findings = []
    age = depth.oldest_age_seconds or 0.0
    if age > QUEUE_FAIL_AGE_SECONDS:
        findings.append(failure(f"The oldest event has been waiting for {age:.0f} s: {_MORE_WORKERS}."))
    elif age > QUEUE_WARN_AGE_SECONDS:
        findings.append(warning(f"The oldest event has been waiting for {age:.0f} s: {_MORE_WORKERS}."))
    if depth.events > QUEUE_WARN_EVENTS:
        findings.append(warning(f"More than {QUEUE_WARN_EVENTS} events wait: {_MORE_WORKERS}."))
    return findings


def _size_findings(depth: QueueDepth, max_bytes: int) -> list[Finding]:
    share = depth.stream_bytes / max_bytes
    cure = f"{_MORE_WORKERS}, or raise LOGS_QUEUE_MAX_BYTES for producers, workers and API"
    if share > QUEUE_FAIL_SHARE:
        return [failure(f"The queue is full ({share:.0%} of its bytes) and refuses events: {cure}.")]
    if share > QUEUE_WARN_SHARE:
        return [warning(f"The queue is filling up ({share:.0%} of its bytes): {cure}.")]
    return []


def _memory_findings(client: redis.Redis) -> list[Finding]:
    try:
        memory = client.info("memory")
    except redis.ResponseError:
        # INFO is closed to this user; what can be said without it has been said.
        return []
    limit = int(memory.get("maxmemory", 0))
    share = int(memory["used_memory"]) / limit if limit else 0.0
    cure = f"raise its maxmemory; {_MORE_WORKERS}"
    if share > MEMORY_FAIL_SHARE:
        return [failure(f"Redis is out of memory ({share:.0%} of maxmemory) and refuses events: {cure}.")]
    if share > MEMORY_WARN_SHARE:
        return [warning(f"Redis is running out of memory ({share:.0%} of maxmemory): {cure}.")]
    return []


def _summary(depth: QueueDepth, max_bytes: int) -> str:
    if not depth.events:
        return "Nothing waits."
    age = "" if depth.oldest_age_seconds is None else f", the oldest for {depth.oldest_age_seconds:.1f} s"
    return (
        f"{depth.events} events wait{age}: {depth.list_events} in the list, {depth.stream_events} in the stream "
        f"({depth.stream_bytes / _MIB:.1f} of {max_bytes / _MIB:.1f} MiB), "
        f"{depth.in_flight_entries} entries in the workers' hands."
    )
