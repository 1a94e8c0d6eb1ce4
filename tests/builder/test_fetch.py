"""What an image's build fetches, in a process of its own; the fetching itself is in tests/commands/test_fetch.py, and
the build with it in tests/image."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.handler_process import environment

NO_HUB = "http://127.0.0.1:9"  # a port where nothing listens


def fetch(to: Path, model: str, variant: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "builder.fetch", "--model", model, "--variant", variant, "--to", str(to)]
    return subprocess.run(
        command, env=environment(HF_ENDPOINT=NO_HUB), capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("model", ["", "sketch"])
def test_nothing_is_fetched_for_no_model_and_for_the_one_that_ships(tmp_path: Path, model: str) -> None:
    done = fetch(tmp_path / "weights", model)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "weights").iterdir()) == []


@pytest.mark.parametrize(
    ("model", "variant", "told"),
    [
        ("muchi", "", "MODEL: 'muchi' is not one of hunyuanvideo-1.5, "),
        ("cogvideox", "5b,6b", "MODEL_VARIANT: '6b' is not one of 2b, 5b, "),
        ("mochi", "720p", "MODEL_VARIANT: '720p' is no variant: mochi has none"),
        ("", "5b", "MODEL_VARIANT: '5b' of no MODEL"),
        ("open-sora", "", "The hub has no weights of open-sora"),
    ],
)
def test_what_there_is_not_ends_the_build_with_one_line(tmp_path: Path, model: str, variant: str, told: str) -> None:
    done = fetch(tmp_path, model, variant)
    assert done.returncode == 1
    assert done.stderr.startswith(told) and len(done.stderr.splitlines()) == 1


def test_a_hub_that_cannot_be_reached_ends_the_build_with_the_model_and_the_reason(tmp_path: Path) -> None:
    done = fetch(tmp_path, "mochi")
    assert done.returncode == 1
    assert done.stderr.startswith("The weights of mochi could not be fetched (ConnectError")
