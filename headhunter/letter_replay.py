"""Dead letters sent back through the queue: what of them can be sent, what would become of it, and the sending."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg

from log_events.event_queue import EventQueue
from log_events.kinds import KindCounts
from log_events.replay_frame import REPLAY_VERSION, Replay, encode_replay
from log_events.wire import WIRE_VERSION, FrameError, split_frame
from logs_db.dead_letters import StoredDeadLetter, read_one
from worker.acceptance import AcceptedPast
from worker.decode import decode_each
from worker.entry import Entry


class NotReplayableError(Exception):
    """A dead letter cannot be sent back; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A dead letter that was looked at for a replay; *obstacle* where it cannot be sent."""

    letter_id: UUID
    letter: StoredDeadLetter | None
    replay: Replay | None = None
    obstacle: str | None = None

    def outlook(self, past: AcceptedPast) -> str:
        """
        What this code would make of it: ``row``, or the reason why it would be dead again; of several, how many.

        *past* is what workers take, by the retention that is set for them.
        """
        if self.replay is None:
            return ""
        entry = Entry(b"0-0", {b"v": REPLAY_VERSION, b"z": encode_replay(self.replay)})
        rows, dead = decode_each([entry], past)
        found = Counter(["row"] * len(rows) + [str(item.letter.reason) for item in dead])
        return ", ".join(found) if len(rows) + len(dead) == 1 else ", ".join(f"{k} {n}" for k, n in found.items())


def outgoing(connection: psycopg.Connection[Any], letter_ids: Iterable[UUID], *, redates: bool) -> Iterator[Outgoing]:
    """Each of *letter_ids* as it would be sent back; read one by one, because one may hold 16 MiB."""
    for letter_id in letter_ids:
        letter = read_one(connection, letter_id)
        try:
            yield Outgoing(letter_id, letter, replay=_replay(letter, redates=redates))
        except NotReplayableError as exc:
            yield Outgoing(letter_id, letter, obstacle=str(exc))


SENT_TOGETHER_LETTERS = 100
SENT_TOGETHER_BYTES = 1024 * 1024


@dataclass(slots=True)
class SendReport:
    """What became of a replay, as programs read it."""

    sent: int = 0
    events: int = 0
    queue_is_full: bool = False
    skipped: list[dict[str, Any]] = field(default_factory=list)


def send_all(queue: EventQueue, letters: Iterable[Outgoing], max_bytes: int) -> SendReport:
    """
    Send *letters*, many in one round trip, until the queue is full; sending any of them again does no harm.

    Raises:
        redis.RedisError: Redis is away; some may have been taken.
    """
    report = SendReport()
    batch: list[tuple[bytes, KindCounts]] = []
    for one in letters:
        frame = encode_replay(one.replay) if one.replay else b""
        obstacle = one.obstacle if one.replay is None else _too_large(frame, max_bytes)
        if one.replay is None or obstacle:
            report.skipped.append({"id": one.letter_id, "obstacle": obstacle})
            continue
        batch.append((frame, one.replay.counts))
        if len(batch) >= SENT_TOGETHER_LETTERS or sum(len(sent) for sent, _ in batch) >= SENT_TOGETHER_BYTES:
            _send(queue, batch, max_bytes, report)
            batch.clear()
        if report.queue_is_full:
            return report
    _send(queue, batch, max_bytes, report)
    return report


def _too_large(frame: bytes, max_bytes: int) -> str | None:
    if len(frame) <= max_bytes:
        return None
    return f"its {len(frame)} bytes are more than LOGS_QUEUE_MAX_BYTES lets the queue hold"


def _send(queue: EventQueue, batch: list[tuple[bytes, KindCounts]], max_bytes: int, report: SendReport) -> None:
    taken = queue.admit_all(batch, REPLAY_VERSION, max_bytes)
    report.sent += sum(taken)
    report.events += sum(counts.events for (_, counts), is_taken in zip(batch, taken, strict=True) if is_taken)
    report.queue_is_full = not all(taken)


def _replay(letter: StoredDeadLetter | None, *, redates: bool) -> Replay:
    if letter is None:
        raise NotReplayableError("there is no such dead letter, or no longer")
    if letter.replayed_at is not None:
        raise NotReplayableError(f"it is a row already, since {letter.replayed_at}")
    if not letter.raw_is_complete:
        raise NotReplayableError(
            f"only the first {len(letter.raw)} of {letter.size_bytes} bytes were kept; have its producer send it again"
        )
    is_whole_frame = letter.source == "stream" and letter.entry_index is None
    return Replay(
        letter_id=letter.id,
        source=letter.source,  # type: ignore[arg-type]  # a CHECK of the table allows these three only
        accepted_at=letter.created_at,
        entry_id=letter.entry_id,
        generation=letter.generation,
        frame_version=letter.frame_version,
        entry_index=letter.entry_index,
        redates=redates,
        raws=_events_of_frame(letter) if is_whole_frame else [letter.raw],
    )


def _events_of_frame(letter: StoredDeadLetter) -> list[bytes]:
    """The events of a frame that no worker could take apart then."""
    if letter.frame_version not in (None, WIRE_VERSION.decode()):
        raise NotReplayableError(
            f"its frame is of version {letter.frame_version!r}; replay it with a release that knows this version"
        )
    try:
        events = split_frame(letter.raw)
    except FrameError as exc:
        raise NotReplayableError(f"nothing in its frame can be trusted: {exc}") from exc
    if not events:
        raise NotReplayableError("its frame holds no events")
    return events
