"""The tables in docs/ say what the code says."""

import shutil
from pathlib import Path

import pytest

from builder.doc_tables import DOCS, TABLES_OF, main, tables, with_tables


def test_tables_are_up_to_date(tmp_path: Path) -> None:
    """To bring them up to date: python -m builder.doc_tables"""
    for document in TABLES_OF:
        shutil.copy(DOCS / document, tmp_path)
    main(tmp_path)
    for document in TABLES_OF:
        assert (tmp_path / document).read_text("utf-8") == (DOCS / document).read_text("utf-8")


def test_every_table_is_in_one_document() -> None:
    assert sorted(name for names in TABLES_OF.values() for name in names) == sorted(tables())


def test_only_text_between_markers_is_replaced() -> None:
    page = "before\n<!-- apis:begin -->\nold\n<!-- apis:end -->\nafter\n"
    text = with_tables(page, ["apis"])
    assert text.startswith("before\n<!-- apis:begin -->\n\n| API | model |\n")
    assert text.endswith("\n\n<!-- apis:end -->\nafter\n")
    assert "old" not in text


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("apis", "| `local` | the best installed |"),
        ("endpoint", "| `DATABASE_URL` | `sqlite:///jobs.db` |"),
        ("errors", "| `CONSENT_MISSING` | 403 | no |"),
        ("models", "| mochi | - | text | 848x480, 85 frames, 64 steps | exact, full, fast | 40.0 | Apache-2.0 |"),
        ("models", "- CogVideoX: Commercial use"),
        ("presets", "| cogvideox, GPU of 16 GB or more | cogvideox, cogvideox 5b-i2v | 720x480, 49 frames, 50 steps |"),
        ("presets", "- cogvideox 5b-i2v: Commercial use"),
        ("requests", "| `lawful_use_consent` | boolean | yes |  | true |"),
        ("settings", "| `WEIGHTS_DIR` | `weights` |"),
    ],
)
def test_table_has_row(name: str, row: str) -> None:
    assert f"\n{row}" in tables()[name]


@pytest.mark.parametrize("page", ["", "<!-- apis:begin -->", "<!-- apis:end -->\n<!-- apis:begin -->"])
def test_document_without_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="there is no <!-- apis:begin -->"):
        with_tables(page, ["apis"])
