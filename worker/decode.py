"""From stream entries to rows and dead letters.  Frames that keep the contract pass in one step, all else singly."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from log_events.kinds import Kind
from log_events.llm_log import LlmLogEvent
from log_events.redaction import redacted_fields
from log_events.system_log import SystemLogEvent
from log_events.wire import WIRE_VERSION, EventError, FrameError, LogEvent, decode_frame, split_frame
from logs_db.dead_letters import DeadLetterRow
from worker.acceptance import AcceptedPast, accepted_times
from worker.account import Account, kind_of
from worker.amounts import are_storable
from worker.entry import EVENT_NAMESPACE, Entry
from worker.json_text import parse_json
from worker.loose_event import loose_fields
from worker.mending import mend, redated
from worker.replayed import opened
from worker.rollup_counts import RollupCounts
from worker.tables import LLM_LOGS, LLM_PAYLOADS, SYSTEM_LOGS, Table, with_payload
from worker.unforeseen import rejected_if_unforeseen
from worker.verdicts import KEPT_RAW_BYTES, MAX_EVENT_BYTES, Reason, RejectedError

ANY_PAST = AcceptedPast()
ID_LENGTHS = (16, 36)
"""Of an event's own id: bytes in a frame, characters in what was pushed."""


@dataclass(frozen=True, slots=True)
class Row:
    """An event that may become a row, and where it came from, for the dead letter that it may still become."""

    event: LogEvent
    entry: Entry
    index: int
    raw: bytes

    @property
    def key(self) -> tuple[datetime, UUID]:
        """What tells its row from every other."""
        return self.event.created_at, self.event.id

    @property
    def kind(self) -> Kind:
        """The kind under which the door counted it."""
        return kind_of(self.entry, self.raw, self.event, None)

    def rejected(self, rejection: RejectedError) -> DeadLetterRow:
        """The dead letter of this event."""
        return dead_letter(self.entry, self.index, self.raw, rejection)


@dataclass(frozen=True, slots=True)
class Dead:
    """An event that is dead, or a whole entry where *kind* is None."""

    letter: DeadLetterRow
    entry: Entry
    kind: Kind | None

    def count_in(self, account: Account) -> None:
        """Count it, or all events of the entry."""
        if self.kind is None:
            account.add_dead_entry(self.entry)
        else:
            account.add(self.entry, self.kind, "dead")


@dataclass(frozen=True, slots=True)
class SoundFrame:
    """All events of a frame that keeps the contract, and the earliest and the latest of their times."""

    system_logs: list[SystemLogEvent]
    llm_logs: list[LlmLogEvent]
    times: tuple[datetime, datetime]


@dataclass(slots=True)
class Batch:
    """What some entries hold, in the order of the entries."""

    system_logs: list[SystemLogEvent] = field(default_factory=list)
    llm_logs: list[LlmLogEvent] = field(default_factory=list)
    dead_letters: list[DeadLetterRow] = field(default_factory=list)
    account: Account = field(default_factory=Account)
    counts: RollupCounts = field(default_factory=RollupCounts)

    def add_frame(self, entry: Entry, frame: SoundFrame) -> None:
        """Take all events of a frame."""
        self.system_logs += frame.system_logs
        self.llm_logs += frame.llm_logs
        self.account.add(entry, "system_log", "written", len(frame.system_logs))
        self.account.add(entry, "llm_log", "written", len(frame.llm_logs))
        self.counts.add_frame(frame.system_logs, frame.llm_logs, frame.times)

    def add(self, item: Row | Dead) -> None:
        """Take one event."""
        if isinstance(item, Dead):
            self.dead_letters.append(item.letter)
            item.count_in(self.account)
            return
        self.account.add(item.entry, item.kind, "written")
        self.counts.add(item.event)
        if isinstance(item.event, SystemLogEvent):
            self.system_logs.append(item.event)
        else:
            self.llm_logs.append(item.event)

    def by_table(self) -> Iterator[tuple[Table, Sequence[LogEvent]]]:
        """Each table that gets rows, and the events that they are made of, in the order of writing."""
        yield SYSTEM_LOGS, self.system_logs
        yield LLM_LOGS, self.llm_logs
        yield LLM_PAYLOADS, with_payload(self.llm_logs)


def decode_batch(entries: Iterable[Entry], past: AcceptedPast = ANY_PAST) -> Batch:
    """
    The rows and dead letters of new *entries*, the fast way.

    NUL in a text and what ``extra_data`` holds are left for PostgreSQL to judge: what it refuses, `decode_each` mends.
    """
    batch = Batch()
    for entry in entries:
        frame = _sound_frame(entry, past)
        if frame is not None:
            batch.add_frame(entry, frame)
        else:
            for item in _items(entry, past):
                batch.add(item)
    return batch


def decode_each(entries: Iterable[Entry], past: AcceptedPast = ANY_PAST) -> tuple[list[Row], list[Dead]]:
    """The rows and dead letters of *entries*, every event looked at and mended where that is allowed."""
    rows: list[Row] = []
    dead: list[Dead] = []
    for entry in entries:
        for item in _items(entry, past):
            if isinstance(item, Row):
                rows.append(item)
            else:
                dead.append(item)
    return rows, dead


def _sound_frame(entry: Entry, past: AcceptedPast) -> SoundFrame | None:
    """All events of a frame in one step; None where one of them needs a closer look, or there is none."""
    if entry.frame is None or entry.fields.get(b"v") != WIRE_VERSION or len(entry.frame) > MAX_EVENT_BYTES:
        return None
    try:
        events = decode_frame(entry.frame)
    except (EventError, FrameError):
        return None
    # Each look at all of them is felt: bare lists, and types by identity, are the quickest that there are.
    times = [event.created_at for event in events]
    earliest, latest = accepted_times(entry, past.shorter)
    if not times:
        return None
    bounds = min(times), max(times)
    no_objects = [extra for event in events if (extra := event.extra_data) is not None and extra[0] != "{"]
    if bounds[0] < earliest or bounds[1] > latest or no_objects:
        return None
    system_logs = [event for event in events if type(event) is SystemLogEvent]
    # Mostly a frame is of one kind: then there is no need to go through it again.
    is_mixed = len(system_logs) < len(events)
    llm_logs = [event for event in events if isinstance(event, LlmLogEvent)] if is_mixed else []
    if not are_storable([cost for call in llm_logs if (cost := call.cost_usd) is not None]):
        return None
    return SoundFrame(system_logs, llm_logs, bounds)


def _items(entry: Entry, past: AcceptedPast) -> Iterator[Row | Dead]:
    """Each event of *entry* as a row or a dead letter; the whole of it as one where it cannot be taken apart."""
    try:
        entry = opened(entry)
        raws = _raws(entry)
    except FrameError as exc:
        yield _dead_entry(entry, RejectedError(Reason.DAMAGED_FRAME, str(exc)))
        return
    except RejectedError as exc:
        yield _dead_entry(entry, exc)
        return
    for index, raw in enumerate(raws, entry.first_index):
        try:
            yield Row(_event(entry, index, raw, past), entry, index, raw)
        except RejectedError as exc:
            kind = kind_of(entry, raw, None, exc.event_type)
            yield Dead(dead_letter(entry, index, raw, exc), entry, kind)


def _dead_entry(entry: Entry, rejection: RejectedError) -> Dead:
    raw = entry.frame if entry.frame is not None else repr(entry.fields).encode()
    return Dead(dead_letter(entry, None, raw, rejection), entry, None)


def _raws(entry: Entry) -> list[bytes]:
    if entry.replay is not None:
        return entry.replay.raws
    if entry.is_from_list:
        return entry.list_events()
    if entry.frame is None:
        raise RejectedError(Reason.DAMAGED_FRAME, "neither a frame nor events from the list")
    if entry.fields.get(b"v") != WIRE_VERSION:
        raise RejectedError(Reason.UNKNOWN_VERSION, f"this worker reads version {WIRE_VERSION.decode()}")
    return split_frame(entry.frame)


def _event(entry: Entry, index: int, raw: bytes, past: AcceptedPast) -> LogEvent:
    if len(raw) > MAX_EVENT_BYTES:
        raise RejectedError(Reason.TOO_LARGE, f"{len(raw)} bytes")
    event_type, fields = _loose_fields(entry, raw)
    earliest, latest = accepted_times(entry, past.of(event_type))
    with rejected_if_unforeseen(entry, Reason.WRONG_TYPE):
        if entry.replay is not None and entry.replay.redates:
            fields = redated(fields, earliest, latest)
        default_id = entry.derived_id("event", index, raw)
        event = mend(event_type, fields, default_id=default_id, default_created_at=entry.accepted_at)
    if not earliest <= event.created_at <= latest:
        raise RejectedError(Reason.TIMESTAMP_OUT_OF_RANGE, event.created_at.isoformat(), event_type)
    return event


def _loose_fields(entry: Entry, raw: bytes) -> tuple[Any, dict[str, Any]]:
    with rejected_if_unforeseen(entry, Reason.WRONG_TYPE):
        return _pushed_fields(raw) if entry.is_from_list else loose_fields(raw)


def _pushed_fields(raw: bytes) -> tuple[Any, dict[str, Any]]:
    fields = parse_json(raw)
    if not isinstance(fields, dict):
        raise RejectedError(Reason.NOT_AN_OBJECT, f"a JSON {type(fields).__name__}")
    # Producers of ours redact before they send; whoever pushes to the list may not know of secrets.
    return fields.get("type"), redacted_fields(fields)


def dead_letter(entry: Entry, index: int | None, raw: bytes, rejection: RejectedError) -> DeadLetterRow:
    """The dead letter of one rejected event, or of a whole entry where *index* is None."""
    is_complete = len(raw) <= MAX_EVENT_BYTES
    origin = entry.origin
    return DeadLetterRow(
        id=_letter_id(entry, index, raw),
        created_at=entry.accepted_at,
        reason=rejection.reason,
        detail=rejection.detail,
        event_type=rejection.event_type,
        source=origin.source,
        entry_id=origin.entry_id,
        entry_index=index,
        size_bytes=len(raw),
        sha256=hashlib.sha256(raw).digest(),
        raw=raw if is_complete else raw[:KEPT_RAW_BYTES],
        raw_is_complete=is_complete,
        generation=origin.generation,
        frame_version=origin.frame_version,
    )


def _letter_id(entry: Entry, index: int | None, raw: bytes) -> UUID:
    """By the bytes alone where they hold the event's own id: what is sent again, in another entry, is one letter."""
    is_first_letter = entry.replay is None or entry.replay.is_whole_frame
    if index is not None and is_first_letter and _has_own_id(entry, raw):
        return uuid5(EVENT_NAMESPACE, f"dead_letter/{hashlib.sha256(raw).hexdigest()}")
    return entry.derived_id("dead_letter", index, raw)


def _has_own_id(entry: Entry, raw: bytes) -> bool:
    if len(raw) > MAX_EVENT_BYTES:
        return False
    try:
        own_id = _loose_fields(entry, raw)[1].get("id")
    except RejectedError:
        return False
    return isinstance(own_id, bytes | str) and len(own_id) in ID_LENGTHS
