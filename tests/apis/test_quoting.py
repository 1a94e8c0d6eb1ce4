"""How an error quotes a caller's value."""

import json
from typing import Any

import pytest

from videoworker.apis.quoting import quoted

NESTED: list[Any] = []
for _ in range(100_000):
    NESTED = [NESTED]


@pytest.mark.parametrize("value", [None, True, False, 0, -5, 2**63 - 1, 2.5, "a cat", "é🐈"])
def test_a_small_plain_value_is_quoted_as_it_is(value: Any) -> None:
    assert quoted(value) == value
    assert type(quoted(value)) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("-inf"),
        "\ud800",
        "x" * 10**6,
        "🐈" * 100,
        2**64,
        10**70,
        -(10**6000),
        {1: {}},
        NESTED,
        {1},
        b"x",
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_other_value_is_quoted_in_at_most_80_characters_that_json_and_utf8_can_carry(value: Any) -> None:
    text = quoted(value)
    assert isinstance(text, str)
    assert len(text) <= 80
    json.dumps(text, ensure_ascii=False, allow_nan=False).encode()


def test_a_long_text_is_quoted_by_its_beginning() -> None:
    assert quoted("ab" * 100) == "ab" * 39 + "a…"


def test_an_object_is_quoted_by_its_size() -> None:
    assert quoted({"a": 1, "b": 2}) == "an object with 2 fields"
