"""README.md says what the schemas say."""

import pytest

from builder.request_tables import BEGIN, END, README, main, with_tables


def test_the_request_tables_of_the_readme_are_those_of_the_schemas():
    text = README.read_text("utf-8")
    assert with_tables(text) == text, "run: python -m builder.request_tables"


def test_only_what_stands_between_the_markers_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nof yesterday\n{END}\nafter\n")
    main(page)
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "of yesterday" not in text
    assert "| `lawful_use_consent` | boolean | yes |  | true |" in text


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}\n{BEGIN}"])
def test_a_page_without_markers_is_refused(page):
    with pytest.raises(ValueError, match="requests:begin"):
        with_tables(page)
