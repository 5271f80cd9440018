"""Dead letters sent back through the queue: what of them can be sent, what would become of it, and the sending."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from log_events.event_queue import EventQueue
from log_events.replay_frame import REPLAY_VERSION, Replay, encode_replay
from log_events.wire import WIRE_VERSION, FrameError, split_frame
from logs_db.dead_letters import StoredDeadLetter, read_one
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

    @property
    def outlook(self) -> str:
        """What this code would make of it: ``row``, or the reason why it would be dead again; of several, how many."""
        if self.replay is None:
            return ""
        entry = Entry(b"0-0", {b"v": REPLAY_VERSION, b"z": encode_replay(self.replay)})
        rows, dead = decode_each([entry])
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


def send(queue: EventQueue, one: Outgoing, max_bytes: int) -> int:
    """
    Send one dead letter; return how many events it holds.

    Raises:
        NotReplayableError: It has an obstacle, or is larger than the queue may ever be.
        QueueFullError: Nothing was taken; send it again later.
        redis.RedisError: Whether it was taken is unknown; sending it again does no harm.
    """
    if one.replay is None:
        raise NotReplayableError(one.obstacle)
    counts = one.replay.counts
    frame = encode_replay(one.replay)
    if len(frame) > max_bytes:
        raise NotReplayableError(f"its {len(frame)} bytes are more than LOGS_QUEUE_MAX_BYTES lets the queue hold")
    others, llm_logs = counts.others, counts.llm_logs
    queue.admit(frame, counts.events, max_bytes, llm_logs=llm_logs, others=others, version=REPLAY_VERSION)
    return counts.events


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
