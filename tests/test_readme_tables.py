"""README.md says what the schemas and the settings say."""

import pytest

from builder.readme_tables import README, main, with_tables

REQUESTS, SETTINGS, ENDPOINT, PRESETS = (
    f"<!-- {name}:begin -->\nold\n<!-- {name}:end -->" for name in ("requests", "settings", "endpoint", "presets")
)


def test_the_tables_of_the_readme_are_those_of_the_code():
    text = README.read_text("utf-8")
    assert with_tables(text) == text, "run: python -m builder.readme_tables"


def test_only_what_stands_between_the_markers_is_replaced(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"before\n{SETTINGS}\nbetween\n{REQUESTS}\n{PRESETS}\n{ENDPOINT}\nafter\n")
    main(page)
    text = page.read_text()
    assert text.startswith("before\n<!-- settings:begin -->\n")
    assert "<!-- settings:end -->\nbetween\n<!-- requests:begin -->" in text
    assert text.endswith("<!-- endpoint:end -->\nafter\n")
    assert "old" not in text.split()
    assert "| `lawful_use_consent` | boolean | yes |  | true |" in text
    assert "| `WEIGHTS_DIR` | `weights` |" in text
    assert "| cogvideox, GPU of 16 GB or more | cogvideox, cogvideox 5b-i2v | 720x480, 49 frames, 50 steps |" in text
    assert "- cogvideox 5b-i2v: Commercial use" in text
    assert "| `DATABASE_URL` | `sqlite:///jobs.db` |" in text


@pytest.mark.parametrize(
    "page",
    [
        "",
        REQUESTS + SETTINGS + ENDPOINT,
        REQUESTS + PRESETS + SETTINGS,
        "<!-- requests:end -->\n<!-- requests:begin -->" + SETTINGS + ENDPOINT + PRESETS,
    ],
)
def test_a_page_without_markers_is_refused(page):
    with pytest.raises(ValueError, match="there is no <!--"):
        with_tables(page)
