"""How old an event may be when it is accepted: as old as its table keeps it, 30 days where that is for ever."""

from datetime import timedelta

import pytest

from log_events.llm_log import LlmLogEvent
from log_events.uuid7 import uuid7
from log_events.wire import encode_frame
from logs_db.retention_plan import Retention
from tests.fixtures.entries import ACCEPTED, ACCEPTED_MS, framed, system_event
from worker.acceptance import AcceptedPast
from worker.decode import decode_batch, decode_each
from worker.verdicts import Reason


def llm_event(**changes) -> LlmLogEvent:
    fields = {"id": uuid7(ACCEPTED_MS), "provider": "p", "model": "m", "status": "success"}
    return LlmLogEvent(**dict.fromkeys(LlmLogEvent.__struct_fields__) | fields | changes)


EVENTS = {"system": system_event, "llm": llm_event}


@pytest.mark.parametrize(
    ("retention", "kind", "days", "is_accepted"),
    [
        (Retention(), "system", 29, True),
        (Retention(), "system", 31, False),
        (Retention(system_logs=90, llm_logs=7), "system", 89, True),
        (Retention(system_logs=90, llm_logs=7), "system", 91, False),
        (Retention(system_logs=90, llm_logs=7), "llm", 6, True),
        (Retention(system_logs=90, llm_logs=7), "llm", 8, False),
        (Retention(llm_payloads=7), "llm", 29, True),
    ],
)
def test_the_window_of_accepted_times_is_the_tables_retention(retention, kind, days, is_accepted):
    entry = framed(encode_frame([EVENTS[kind](created_at=ACCEPTED - timedelta(days=days))]))
    past = AcceptedPast.by(retention)

    rows, dead = decode_each([entry], past)
    batch = decode_batch([entry], past)

    assert (len(rows), len(batch.system_logs + batch.llm_logs)) == ((1, 1) if is_accepted else (0, 0))
    reasons = [item.letter.reason for item in dead]
    assert reasons == [letter.reason for letter in batch.dead_letters]
    assert reasons == ([] if is_accepted else [Reason.TIMESTAMP_OUT_OF_RANGE])
