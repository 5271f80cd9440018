import json

import pytest
from pydantic import BaseModel, JsonValue

from api.json_column import MAX_DEPTH, loads


class Answer(BaseModel):
    extra_data: JsonValue


def nested(depth):
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


@pytest.mark.parametrize("text", ["{}", '{"a": [1, 2.5, null, "x"]}', "[]", '"text"', "3", nested(MAX_DEPTH)])
def test_ordinary_json_is_given_as_it_is(text):
    assert loads(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [nested(MAX_DEPTH + 1), nested(300), "[" * 5000 + "]" * 5000, '{"n": 1e999}', '{"n": ' + "9" * 5000 + "}"],
    ids=["one too deep", "deep", "too deep to parse", "infinite", "5000 digits"],
)
def test_what_an_answer_cannot_carry_is_given_as_text(text):
    assert loads(text) == text
    assert json.loads(Answer(extra_data=loads(text)).model_dump_json()) == {"extra_data": text}
