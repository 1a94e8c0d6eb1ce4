"""The memory that a process without a GPU may count on."""

from pathlib import Path

import psutil
import pytest

from videoworker.engine import host_memory

LIMIT = 2 * 10**9


def test_the_machine_is_the_limit_if_there_is_no_other(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")
    assert 0.5 * psutil.virtual_memory().available < host_memory.free_bytes(tmp_path) <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    ("limit", "use", "kind"),
    [("memory.max", "memory.stat", "anon"), ("memory/memory.limit_in_bytes", "memory/memory.stat", "rss")],
)
def test_a_container_may_have_less_and_files_do_not_count(tmp_path: Path, limit: str, use: str, kind: str) -> None:
    """What this process holds of it is its own."""
    (tmp_path / limit).parent.mkdir(exist_ok=True)
    (tmp_path / limit).write_text(f"{LIMIT}\n")
    (tmp_path / use).write_text(f"cache 1900000000\n{kind} 700000000\nfile 1900000000\n")
    left = host_memory.free_bytes(tmp_path) - host_memory.held_bytes()
    assert abs(left - 1_300_000_000) < 10_000_000  # the process may have taken a little between the two
