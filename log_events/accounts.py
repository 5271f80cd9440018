"""The queue's side of the ledger: what was accepted and what waits, as the scripts count it by hour and kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

HourAndKind = tuple[datetime, str]
"""The start of a UTC hour of acceptance, and a kind of events."""


@dataclass(frozen=True, slots=True)
class QueueAccounts:
    """Numbers of events."""

    generation: str
    """Of the stream that was counted."""
    accepted: Mapping[HourAndKind, int]
    waiting: Mapping[HourAndKind, int]
    pruned_before: datetime
    """Of earlier hours only those are left that were not all accounted for when they were looked at."""

    def has_pruned(self, key: HourAndKind) -> bool:
        """Whether all of *key* was accounted for and is forgotten; or there never was any."""
        return key[0] < self.pruned_before and key not in self.accepted


def by_hour(counts: Mapping[bytes, bytes]) -> dict[HourAndKind, int]:
    """A hash of the scripts, whose fields are ``<hour since 1970>:<kind>``."""
    found = {}
    for field, events in counts.items():
        hour, _, kind = field.decode().partition(":")
        found[start_of_hour(hour), kind] = int(events)
    return found


def field_of(key: HourAndKind) -> str:
    """The field of such a hash."""
    hour, kind = key
    return f"{number_of_hour(hour)}:{kind}"


def start_of_hour(number: str | bytes | int) -> datetime:
    """When the hour of this number since 1970 began."""
    return datetime.fromtimestamp(int(number) * 3600, tz=UTC)


def number_of_hour(hour: datetime) -> int:
    """The inverse."""
    return int(hour.timestamp()) // 3600
