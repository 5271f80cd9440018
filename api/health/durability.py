"""The check of durability: each setting that is weaker than the promise needs, and what it can lose."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import psycopg
import redis

from api.bounded_connection import BoundedConnection
from api.health.dependencies import Dependencies
from api.health.result import CheckResult, Finding, failure, warning
from api.health.trouble import LOGS_DATABASE, MAIN_DATABASE

_REDIS_SETTINGS = ("maxmemory", "maxmemory-policy", "appendonly", "appendfsync")
_POSTGRES_SETTINGS = "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY(%s)"
_POSTGRES_LOSSES = {
    "fsync": "a machine's death can lose committed rows or damage the whole database",
    "full_page_writes": "a machine's death can damage pages that were being written",
    # The worker asks for it in each of its transactions, so the rows of events are safe whatever the server says.
    "synchronous_commit": "a machine's death can lose the last committed transactions of others than the worker",
}


def check_durability(dependencies: Dependencies) -> CheckResult:
    """How many settings of Redis and PostgreSQL are weaker than the promise to lose nothing needs."""
    findings = [
        *_redis_findings(dependencies.queue.client),
        *_postgres_findings(LOGS_DATABASE, dependencies.logs_database),
        *_postgres_findings(MAIN_DATABASE, dependencies.main_database),
    ]
    summary = "" if findings else "A machine's death loses nothing that was accepted."
    return CheckResult.of(findings, value=len(findings), unit="weaknesses", summary=summary)


def _redis_findings(client: redis.Redis) -> list[Finding]:
    try:
        settings, unknown = _redis_settings(client)
    except redis.RedisError:
        return [warning("Redis: unknown, for it does not answer.")]
    findings = [
        warning(
            f"Redis: {name} is unknown, for CONFIG and INFO are closed to this user; make sure that it is {wanted}."
        )
        for name, wanted in (("maxmemory-policy", "noeviction"), ("appendonly", "yes"), ("appendfsync", "always"))
        if name in unknown
    ]
    findings += _eviction_findings(settings)
    if settings.get("appendonly", "yes") != "yes":
        findings.append(
            warning(
                "Redis: appendonly is off, so its death loses every event not yet written: CONFIG SET appendonly yes."
            )
        )
    elif settings.get("appendfsync", "always") != "always":
        seconds = "2" if settings["appendfsync"] == "everysec" else "30"
        findings.append(
            warning(
                f"Redis: appendfsync is {settings['appendfsync']}, so a machine's death can lose the last {seconds} s "
                "of accepted events: CONFIG SET appendfsync always."
            )
        )
    if settings.get("aof_last_write_status", "ok") != "ok":
        findings.append(
            failure("Redis cannot write its append-only file and refuses events: look at its disk and log.")
        )
    return findings


def _redis_settings(client: redis.Redis) -> tuple[dict[str, str], set[str]]:
    """Settings by name, and names of those that could not be read: managed servers close CONFIG, some also INFO."""
    settings: dict[str, str] = {}
    try:
        memory, persistence = client.info("memory"), client.info("persistence")
    except redis.ResponseError:
        pass
    else:
        settings["maxmemory"] = str(memory.get("maxmemory", "0"))
        settings["maxmemory-policy"] = str(memory.get("maxmemory_policy", ""))
        settings["appendonly"] = "yes" if persistence.get("aof_enabled") else "no"
        settings["aof_last_write_status"] = str(persistence.get("aof_last_write_status", "ok"))
    try:
        answer: Mapping[Any, Any] = client.config_get(*_REDIS_SETTINGS)
    except redis.ResponseError:
        pass
    else:
        settings |= {_text(name): _text(value) for name, value in answer.items()}
    settings = {name: value for name, value in settings.items() if value}
    return settings, set(_REDIS_SETTINGS) - set(settings)


def _eviction_findings(settings: Mapping[str, str]) -> list[Finding]:
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy == "noeviction":
        return []
    cure = "CONFIG SET maxmemory-policy noeviction."
    if settings.get("maxmemory", "0") == "0":
        return [warning(f"Redis: maxmemory-policy is {policy}; once a maxmemory is set it may evict the queue: {cure}")]
    if policy.startswith("volatile"):
        return [
            warning(f"Redis: maxmemory-policy is {policy}; it spares keys without an expiry, the queue's too: {cure}")
        ]
    return [
        failure(f"Redis: maxmemory-policy is {policy}, so memory pressure evicts the queue, events and all: {cure}")
    ]


def _postgres_findings(what: str, connect: Callable[[], AbstractContextManager[BoundedConnection]]) -> list[Finding]:
    name = what.removeprefix("the ")
    try:
        with connect() as connection:
            settings: dict[str, str] = dict(
                connection.execute(_POSTGRES_SETTINGS, (list(_POSTGRES_LOSSES),)).fetchall()
            )
    except psycopg.Error:
        return [warning(f"{name}: unknown, for it does not answer.")]
    return [
        warning(f"{name}: {setting} is off, so {_POSTGRES_LOSSES[setting]}: set {setting} = on.")
        for setting, value in sorted(settings.items())
        if value == "off"
    ]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
