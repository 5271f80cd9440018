"""What is taken out of events as secret, and what only looks like it."""

import json
import time
from datetime import UTC, datetime

import pytest

from log_events.extra_data import extra_json
from log_events.llm_log import LlmLogEvent
from log_events.redaction import DEFAULT_REDACTOR, Redactor, redacted, redacted_fields
from log_events.system_log import SystemLogEvent
from log_events.uuid7 import uuid7
from tests.fixtures.secret_texts import INNOCENT, KEYS, LONG, SECRETS, S


@pytest.mark.parametrize(("text", "secret"), SECRETS, ids=range(len(SECRETS)))
def test_a_secret_is_taken_out_and_its_surroundings_stay(text, secret):
    plain = redacted(text)

    assert secret not in plain
    assert "[redacted]" in plain
    assert redacted(plain) == plain
    assert text[:3] == plain[:3] or plain.startswith("[redacted]")


@pytest.mark.parametrize("text", INNOCENT, ids=range(len(INNOCENT)))
def test_what_only_looks_like_a_secret_stays_as_it_is(text):
    assert redacted(text) is text
    assert DEFAULT_REDACTOR.json(json.dumps({"note": text})) == json.dumps({"note": text})


def test_a_secret_keeps_its_name_and_the_rest_of_its_line():
    assert redacted(f"user=u password={S} port=1") == "user=u password=[redacted] port=1"
    assert redacted(f"redis://u:{S}@h:1/0 is away") == "redis://u:[redacted]@h:1/0 is away"
    assert redacted(f"Authorization: Bearer {LONG}, retry") == "Authorization: Bearer [redacted], retry"


@pytest.mark.parametrize(
    "key",
    ["password", "DB_PASSWORD", "clientSecret", "x-api-key", "Authorization", "Cookie", "Set-Cookie", "access_token"],
)
def test_extra_data_is_redacted_by_the_names_of_its_keys(key):
    nested = {"a": [{"deep": {key: "hunter"}}], "rest": 5}

    assert json.loads(DEFAULT_REDACTOR.json(json.dumps(nested))) == {"a": [{"deep": {key: "[redacted]"}}], "rest": 5}
    assert json.loads(DEFAULT_REDACTOR.json(json.dumps({key: {"x": ["hunter"]}}))) == {key: "[redacted]"}


def test_headers_as_pairs_are_redacted_by_name():
    pairs = {"headers": [["b'cookie'", "b'a=b'"], ["Authorization", "anything"], ["accept", "text/html"]]}

    assert json.loads(DEFAULT_REDACTOR.json(json.dumps(pairs)))["headers"] == [
        ["b'cookie'", "[redacted]"],
        ["Authorization", "[redacted]"],
        ["accept", "text/html"],
    ]


@pytest.mark.parametrize(
    "extra",
    [
        {"prompt_tokens": 5, "tokens": "many", "token": 17},
        {"has_password": True, "password": None, "secret": ""},
        {"next_page_token": "CAUQAA"},
        {"key": "value", "primary_key": "id", "author": "me", "session_id": "s-1", "keyboard": "us"},
        {"fields": ["user", "password", "email"]},
    ],
)
def test_harmless_extra_data_stays_to_the_letter(extra):
    text = json.dumps(extra)

    assert DEFAULT_REDACTOR.json(text) is text


def test_values_in_extra_data_are_redacted_by_their_shape():
    extra = json.dumps({"note": f"called with {KEYS['OpenAI']}", "url": f"redis://:{S}@h/0", "n": 1})

    assert json.loads(DEFAULT_REDACTOR.json(extra)) == {
        "note": "called with [redacted]",
        "url": "redis://:[redacted]@h/0",
        "n": 1,
    }


def test_own_patterns_and_keys_are_added():
    redactor = Redactor([r"EMP-\d{4}", r"badge (?P<secret>\w+)"], keys=["Personal-Number"])

    assert redactor.text(f"EMP-1234 with badge blue, password={S}") == (
        "[redacted] with badge [redacted], password=[redacted]"
    )
    assert json.loads(redactor.json('{"personal_number": 5, "name": "EMP-9999"}')) == {
        "personal_number": "[redacted]",
        "name": "[redacted]",
    }


def test_a_pattern_that_is_none_is_refused_by_name():
    with pytest.raises(ValueError, match=r"'\(' is not a regular expression"):
        Redactor(["("])


def test_every_text_of_an_event_is_redacted_and_an_event_without_secrets_is_itself():
    event = SystemLogEvent(
        uuid7(),
        datetime.now(UTC),
        "ERROR",
        "c",
        f"password={S}",
        "E",
        f"token={S}",
        f"pwd={S}",
        extra_data=f'{{"pwd":"{S}"}}',
    )
    plain = DEFAULT_REDACTOR.event(event)

    assert S not in repr(plain)
    assert (plain.id, plain.created_at, plain.extra_data) == (event.id, event.created_at, '{"pwd":"[redacted]"}')
    assert DEFAULT_REDACTOR.event(plain) is plain


def test_prompts_are_redacted_unless_told_otherwise():
    event = LlmLogEvent(
        uuid7(), datetime.now(UTC), "p", "m", None, f"my password: {S}", KEYS["GitHub"], 1, 2, 3, None, 5, "error",
        error_message=f"password={S}",
    )  # fmt: skip

    assert (DEFAULT_REDACTOR.event(event).prompt, DEFAULT_REDACTOR.event(event).response) == (
        "my password: [redacted]",
        "[redacted]",
    )
    kept = Redactor(prompts=False).event(event)
    assert (kept.prompt, kept.error_message) == (event.prompt, "password=[redacted]")


def test_the_tail_of_a_text_that_was_cut_keeps_its_json_valid_and_its_secrets_out():
    extra = extra_json({"password": "x" * 100_000, "note": [f"password={S}"] * 2000, "deep": {"a": {"b": {"c": 1}}}})
    plain = DEFAULT_REDACTOR.json(extra)

    assert json.loads(plain)["password"] == "[redacted]"
    assert S not in plain


def test_loose_fields_are_redacted_without_touching_what_was_given():
    fields = {"message": f"token={S}", "level": "INFO", "extra_data": {"password": S, "n": [1]}, "latency_ms": 5}
    plain = redacted_fields(fields)

    assert plain == {
        "message": "token=[redacted]",
        "level": "INFO",
        "extra_data": {"password": "[redacted]", "n": [1]},
        "latency_ms": 5,
    }
    assert fields["extra_data"]["password"] == S
    assert redacted_fields(plain) == plain
    assert redacted_fields({"extra_data": f'{{"password": "{S}"}}'}) == {"extra_data": '{"password":"[redacted]"}'}
    assert redacted_fields({"message": 5, "extra_data": None}) == {"message": 5, "extra_data": None}


@pytest.mark.parametrize("event_type", ["system_log", "llm_log", "audit", ["odd"], None])
def test_names_that_are_no_columns_are_redacted_like_keys_of_extra_data(event_type):
    fields = {"type": event_type, "password": S, "session": {"token": S}, "note": f"pwd={S}", "pod": "a", "pid": 7}

    assert redacted_fields(fields) == {
        "type": event_type,
        "password": "[redacted]",
        "session": {"token": "[redacted]"},
        "note": "pwd=[redacted]",
        "pod": "a",
        "pid": 7,
    }


def test_a_column_of_the_other_table_is_no_column():
    llm_column = {"finish_reason": f"pwd={S}"}

    assert redacted_fields({"type": "system_log"} | llm_column)["finish_reason"] == "pwd=[redacted]"
    assert redacted_fields({"type": "llm_log"} | llm_column)["finish_reason"] == f"pwd={S}"


@pytest.mark.parametrize(
    "unit",
    [
        "password",
        "password=",
        "token:",
        '"password":"',
        "a.b-c_",
        "://",
        "://u:",
        "eyJ",
        "Bearer ",
        "cookie: a=",
        "\\",
        "--token ",
    ],
)
def test_no_text_makes_it_slow(unit):
    text = "password=x authorization: cookie: bearer basic eyj --token ://@ " + unit * (30_000 // len(unit))
    started = time.perf_counter()
    redacted(text)

    assert time.perf_counter() - started < 1


def test_what_cannot_be_encoded_or_parsed_harms_nothing():
    assert redacted("\ud800 password=x1") == "\ud800 password=[redacted]"
    assert DEFAULT_REDACTOR.json(f'{{"password": "{S}') == '{"password": "[redacted]'
    deep: object = "password=x1"
    for _ in range(100):
        deep = [deep]
    assert DEFAULT_REDACTOR.value(deep)
