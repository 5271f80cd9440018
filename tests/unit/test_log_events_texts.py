"""Levels, identifiers and extra data: what becomes of what callers hand over."""

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from uuid import UUID

import pytest

from log_events.error_text import error_message, error_name
from log_events.extra_data import MAX_DEPTH, MAX_ITEMS, MAX_TEXT_CHARS, MAX_TOTAL_CHARS, extra_json
from log_events.identifiers import Identifiers, split_identifiers
from log_events.levels import LEVEL_ALIASES, LEVELS, level_of_number, normalised_level
from log_events.safe_text import clean_text

USER = UUID("01890a5d-ac96-774b-bcce-b302099a8057")


class Colour(Enum):
    RED = "red"


class Silent:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_known_in_any_case(level):
    assert normalised_level(level) == normalised_level(level.lower()) == normalised_level(level.title()) == level


@pytest.mark.parametrize(("alias", "level"), LEVEL_ALIASES.items())
def test_an_alias_is_known_in_any_case(alias, level):
    assert normalised_level(alias) == normalised_level(alias.upper()) == level


@pytest.mark.parametrize("text", ["", "LOUD", " INFO", "INFO ", "20", "\u0131nfo", "inf\u00f6"])
def test_any_other_level_is_unknown(text):
    assert normalised_level(text) is None


@pytest.mark.parametrize(
    ("number", "level"),
    [(-5, "DEBUG"), (0, "DEBUG"), (5, "DEBUG"), (15, "DEBUG"), (25, "INFO"), (35, "WARNING"), (1000, "CRITICAL")],
)
def test_a_custom_level_is_the_nearest_standard_one_below(number, level):
    assert level_of_number(number) == level


def test_a_standard_level_is_itself():
    assert [level_of_number(getattr(logging, level)) for level in LEVELS] == list(LEVELS)


def test_nul_and_each_lone_surrogate_become_one_replacement_character():
    assert clean_text("a\0b\ud83d\ude00c") == "a\ufffdb\ufffd\ufffdc"


def test_a_text_that_can_be_carried_is_not_copied():
    text = "déjà vu 🦊"

    assert clean_text(text) is text


def test_identifiers_that_fit_go_into_columns_and_all_else_stays():
    identifiers, rest = split_identifiers(
        {"user_id": str(USER), "company_id": "acme", "request_id": 17, "trace_id": 255, "span_id": "x" * 17, "other": 1}
    )

    assert identifiers == Identifiers(user_id=USER, request_id="17", trace_id="0" * 30 + "ff")
    assert rest == {"company_id": "acme", "span_id": "x" * 17, "other": 1}


def test_an_identifier_of_none_is_no_identifier():
    assert split_identifiers({"user_id": None, "request_id": None}) == (Identifiers(), {})


def test_what_json_has_no_form_for_is_shown():
    extra = {
        "when": datetime(2026, 1, 2, tzinfo=UTC),
        "cost": Decimal("1.10"),
        "user": USER,
        "path": Path("/tmp/x"),
        "colour": Colour.RED,
        "raw": b"\xff",
        "nan": float("nan"),
        "huge": 2**70,
        "silent": Silent(),
        "pair": (1, None),
        7: True,
    }

    assert json.loads(extra_json(extra)) == {
        "when": "2026-01-02 00:00:00+00:00",
        "cost": "1.10",
        "user": str(USER),
        "path": "/tmp/x",
        "colour": "red",
        "raw": "b'\\xff'",
        "nan": "nan",
        "huge": "0x400000000000000000",
        "silent": "<Silent whose repr raised RuntimeError>",
        "pair": [1, None],
        "7": True,
    }


def test_nul_and_surrogates_do_not_reach_the_json():
    text = extra_json({"key\0": "value\ud800"})

    assert json.loads(text) == {"key\ufffd": "value\ufffd"}
    assert "\\u0000" not in text


def test_deep_nesting_ends_as_text():
    nested: list = []
    for _ in range(5000):
        nested = [nested]

    value, depth = json.loads(extra_json({"nested": nested})), 0
    while isinstance(value, dict | list):
        value, depth = (value["nested"] if isinstance(value, dict) else value[0]), depth + 1
    assert depth == MAX_DEPTH
    assert "RecursionError" in value


def test_a_structure_that_holds_itself_ends():
    loop: dict = {}
    loop["self"] = loop

    assert "\"{'self': {...}}\"" in extra_json(loop)


def test_many_items_are_cut_and_the_rest_is_counted():
    value = json.loads(extra_json({f"key{number}": number for number in range(5000)}))

    assert len(value) == MAX_ITEMS
    assert value["…"] == f"{5000 - (MAX_ITEMS - 1)} more left out"


def test_a_long_list_is_cut_and_says_so():
    assert json.loads(extra_json({"items": list(range(5000))}))["items"][-1] == "… more left out"


def test_a_long_text_is_cut_and_its_length_is_told():
    (text,) = json.loads(extra_json({"text": "x" * 20_000})).values()

    assert text == "x" * MAX_TEXT_CHARS + "… (20000 characters in all)"


def test_many_long_texts_stay_below_the_limit_of_one_event():
    assert len(extra_json({str(number): "x" * 20_000 for number in range(200)})) < 1.2 * MAX_TOTAL_CHARS


def test_an_error_is_named_by_its_qualified_name_and_builtins_by_their_own():
    assert error_name(ValueError()) == "ValueError"
    assert error_name(json.JSONDecodeError("", "", 0)) == "json.decoder.JSONDecodeError"


def test_an_error_without_a_text_still_has_a_message():
    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert error_message(MuteError("x")) == "MuteError('x')"
