"""What counts as a prompt's text."""

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.apis.samples import parse, refusal
from videoworker.apis.text import LONGEST_TEXT, cleaned
from videoworker.errors import Code


def test_a_prompt_is_composed_to_nfc() -> None:
    assert parse("hunyuanvideo", prompt="cafe\u0301").prompt == "caf\u00e9"


def test_letters_are_counted_after_composition() -> None:
    assert len(parse("hunyuanvideo-foley", video_prompt="e\u0301" * 500).prompt) == 500


def test_one_letter_too_many_is_refused_after_composition() -> None:
    assert refusal("hunyuanvideo-foley", {"video_prompt": "e\u0301" * 501}).code is Code.INVALID_PROMPT


def test_a_prompt_that_composition_makes_too_short_is_refused() -> None:
    assert refusal("local", {"prompt": "ae\u0301", "lawful_use_consent": True}).code is Code.INVALID_PROMPT


def test_an_emoji_outside_the_basic_plane_counts_as_one_character() -> None:
    assert len(parse("hunyuanvideo-foley", video_prompt="🐈" * 500).prompt) == 500


def test_a_joined_emoji_stays_whole() -> None:
    assert parse("hunyuanvideo", prompt="👩‍👩‍👧 in a park").prompt == "👩‍👩‍👧 in a park"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("a\x00b\x07c\x1b\x7f\x9fd", "abcd"),
        ("a\nb\tc\r\nd\re", "a b c d e"),
        ("  \n a cat \t ", "a cat"),
        ("e\x00\u0301", "\u00e9"),
    ],
)
def test_control_characters_vanish_and_line_ends_become_spaces(written: str, meant: Any) -> None:
    assert cleaned(written) == meant


@pytest.mark.parametrize("blank", ["", " ", "\n\t", "\x00\x01", "\u3000"])
def test_a_prompt_of_nothing_visible_is_refused(blank: str) -> None:
    assert refusal("hunyuanvideo", {"prompt": blank}).code is Code.INVALID_PROMPT


@pytest.mark.parametrize("text", ["\ud800", "a cat \udfff on grass"])
def test_a_lone_surrogate_is_refused_and_its_error_can_be_encoded(text: Any) -> None:
    error = refusal("hunyuanvideo", {"prompt": text})
    assert error.code is Code.INVALID_PROMPT
    assert "surrogate" in error.message
    str(error.fields[0].given).encode()


def test_a_text_of_ten_million_marks_is_refused_without_being_composed() -> None:
    assert refusal("native", {"prompt": "a" + "\u0301\u0316" * 5_000_000}).code is Code.INVALID_PROMPT


def test_the_longest_text_may_be_four_times_as_long_before_composition() -> None:
    # U+1F82 is the composition of four characters, the most there are.
    decomposed = unicodedata.normalize("NFD", "\u1f82")
    assert len(decomposed) == 4
    assert parse("native", prompt=decomposed * LONGEST_TEXT).prompt == "\u1f82" * LONGEST_TEXT


@given(st.text())
def test_cleaning_twice_changes_nothing_more(text: Any) -> None:
    assert cleaned(cleaned(text)) == cleaned(text)


@given(st.text())
def test_a_cleaned_text_has_no_control_character_and_no_blank_end(text: Any) -> None:
    clean = cleaned(text)
    assert not any(unicodedata.category(character) == "Cc" for character in clean)
    assert clean == clean.strip()
