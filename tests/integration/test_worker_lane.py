"""A lane: what it takes at once and what it writes at once are two things."""

import threading

import pytest

from log_events.wire import encode_frame
from tests.fixtures.logs import system_event, wait_until
from tests.fixtures.written import rows
from worker import lane
from worker.holds import Holds
from worker.lane import Lane
from worker.patience import Patience
from worker.pulse import Pulse
from worker.receive import Receiver
from worker.write import Writer


class NotingWriter(Writer):
    """A writer that notes how many payload bytes each batch had."""

    def write(self, entries):
        self.noted = [*getattr(self, "noted", []), sum(entry.payload_bytes for entry in entries)]
        return super().write(entries)


@pytest.fixture
def writer(logs_database_url, event_queue, stop) -> NotingWriter:
    patience = Patience("waiting_for_postgres", stop)
    return NotingWriter(logs_database_url, patience, lambda *_: None, "test", gone_of=Holds(event_queue).gone_of)


def test_frames_that_turn_out_large_are_written_a_target_at_a_time_and_one_alone_at_least(
    writer, event_queue, logs_connection, stop, monkeypatch
):
    monkeypatch.setattr(lane, "TARGET_BYTES", 5000)
    event_queue.ensure_group()
    for size in (2000, 2000, 2000, 9000):
        event_queue.admit(encode_frame([system_event(message="x" * size)]), 1)
    receiver = Receiver(event_queue, "h:1:1/0", "h")
    own = Lane("h:1:1/0", event_queue, receiver, writer, Pulse("w", "h", 1), stop, claims=False)
    running = threading.Thread(target=own.run)
    running.start()
    wait_until(lambda: event_queue.depth().stream_entries == 0)
    stop.set()
    running.join()

    assert [size // 2000 for size in writer.noted] == [2, 1, 4]
    assert rows(logs_connection) == 4
