"""The folders of jobs in the making, also of those whose process was killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.handler_process import environment
from videoworker.workspace import remove_left_behind, workspace

# Makes a folder with a file in it, tells its name, and waits for the end.
HOLDER = """
import sys
from videoworker.workspace import workspace
with workspace() as folder:
    (folder / "video.mp4").write_bytes(b"half")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("error", [None, RuntimeError("failed")])
def test_a_folder_is_gone_with_its_job(temporary: Path, error: Exception | None) -> None:
    try:
        with workspace() as folder:
            (folder / "video.mp4").write_bytes(b"made")
            assert folder.parent == temporary
            if error:
                raise error
    except RuntimeError as raised:
        assert raised is error
    assert os.listdir(temporary) == []


def test_what_is_not_of_this_worker_stays(temporary: Path) -> None:
    for folder in ("videoworker-main", "videoworker", "unfinished"):
        (temporary / folder).mkdir()
        (temporary / folder / "thesis.txt").write_text("mine")
    (temporary / "videoworker-unfinished-file").write_text("mine")
    (temporary / "videoworker-unfinished-link").symlink_to(temporary / "videoworker-main")
    before = sorted(temporary.rglob("*"))
    remove_left_behind()
    assert sorted(temporary.rglob("*")) == before


def test_what_a_killed_process_left_is_removed_and_what_is_in_use_is_not(temporary: Path) -> None:
    command, pipe = [sys.executable, "-c", HOLDER], subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, text=True, env=environment(TMPDIR=str(temporary))
    ) as holder:
        assert holder.stdout is not None
        theirs = Path(holder.stdout.readline().strip())
        with workspace() as ours:
            remove_left_behind()
            assert theirs.is_dir() and ours.is_dir()
            holder.send_signal(signal.SIGKILL)
            holder.wait()
            assert theirs.is_dir()
            remove_left_behind()
            assert os.listdir(temporary) == [ours.name]
