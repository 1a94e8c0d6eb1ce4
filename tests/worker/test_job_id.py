"""Job ids in file names."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoworker.worker.job_id import file_safe


@pytest.mark.parametrize("job_id", ["local_test", "sync-f5e3c7a0-8d1b-4b6e-9c61-0b1d2f3a4b5c-u1", "test-1", "A.b_c"])
def test_the_ids_that_platforms_give_are_kept(job_id: str) -> None:
    assert file_safe(job_id) == job_id


@pytest.mark.parametrize(
    "job_id", ["..", ".", "", "../../x", "/etc/passwd", "a/b", "a\\b", ".hidden", "x" * 101, None, 7.5, []]
)
def test_any_other_id_becomes_one_plain_visible_name(job_id: Any) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", file_safe(job_id))


@given(st.text(st.characters()))
def test_every_text_gives_a_plain_name_and_always_the_same(text: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", file_safe(text))
    assert file_safe(text) == file_safe(text)


@given(st.text(st.characters()), st.text(st.characters()))
def test_different_ids_have_different_names(one: str, other: str) -> None:
    assert (file_safe(one) == file_safe(other)) == (one == other)


def test_names_differ_even_where_only_the_replaced_characters_do() -> None:
    assert len({file_safe(text) for text in ("a/b", "a\\b", "a b", "a-b")}) == 4
