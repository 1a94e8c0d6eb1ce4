"""`videoworker fetch` of weights whose licence leaves countries out: accepted on a terminal, by the option, or not."""

import os
import pty
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import huggingface_hub
import pytest

from builder import tiny
from tests.commands.hub import Hub, hub_at, serving
from videoworker import cli
from videoworker.models.hunyuanvideo import HUNYUANVIDEO

CHECKPOINT = HUNYUANVIDEO.checkpoint
QUESTION = "Do you accept this licence? [y/N]: "
REFUSAL = (
    "The weights of hunyuanvideo are fetched only if you accept their licence, tencent-hunyuan-community. The weights "
    "are licensed outside the European Union, the United Kingdom and South Korea only. To accept it: answer the "
    "question of `videoworker fetch hunyuanvideo` on a terminal, add --accept-license to that command, or set "
    "ACCEPT_TENCENT_LICENSE=true (at an image's build: --build-arg ACCEPT_TENCENT_LICENSE=true)."
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    tiny.save(HUNYUANVIDEO, folder)
    return folder


@pytest.fixture
def hub(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serving({CHECKPOINT.repository: repository}) as hub:
        for constant, value in hub_at(hub.url).items():
            monkeypatch.setattr(huggingface_hub.constants, constant, value)
        yield hub


def fetch(to: Path, *options: str) -> str:
    """Runs the command, and gives the line that it ends with if it fails."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["videoworker", "fetch", "hunyuanvideo", "--to", str(to), *options])
        cli.main()
    return str(ended.value.code or "")


def fetch_on_terminal(answer: str, to: Path, *options: str) -> tuple[str, str]:
    """As `fetch`, where somebody types the answer; also gives what they see."""
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    with open(ours, "rb", buffering=0) as screen:
        with (
            pytest.MonkeyPatch.context() as patch,
            open(theirs, closefd=False) as reads,
            open(theirs, "w") as writes,
        ):
            patch.setattr(sys, "stdin", reads)
            patch.setattr(sys, "stdout", writes)
            ended = fetch(to, *options)
        seen = bytearray()
        with suppress(OSError):  # which ends what is read of a terminal that nobody has open
            while piece := screen.read(10_000):
                seen += piece
        return ended, seen.decode()


def test_no_terminal(hub: Hub, tmp_path: Path) -> None:
    """Nobody is asked, and nothing comes."""
    assert fetch(tmp_path) == REFUSAL
    assert hub.sent == [] and not (tmp_path / CHECKPOINT.folder).exists()


def test_no(hub: Hub, tmp_path: Path) -> None:
    """It is the default, and what the licence leaves out is read before the question."""
    ended, seen = fetch_on_terminal("\n", tmp_path)
    assert ended == REFUSAL
    assert seen.index("South Korea") < seen.index(QUESTION)
    assert hub.sent == []


def test_yes(hub: Hub, tmp_path: Path) -> None:
    """It is asked once: what is there needs no acceptance."""
    ended, seen = fetch_on_terminal("y\n", tmp_path)
    assert ended == "" and QUESTION in seen
    assert (tmp_path / CHECKPOINT.folder / "model_index.json").is_file()

    ended, seen = fetch_on_terminal("", tmp_path)
    assert ended == "" and QUESTION not in seen
    assert fetch(tmp_path) == ""


def test_option(hub: Hub, tmp_path: Path) -> None:
    """It takes the question's place."""
    ended, seen = fetch_on_terminal("", tmp_path, "--accept-license")
    assert ended == "" and QUESTION not in seen
    assert (tmp_path / CHECKPOINT.folder / "model_index.json").is_file()
