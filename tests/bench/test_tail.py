"""`python -m bench.tail` takes a clip from its latents to a bucket, and says what that took."""

import re
import subprocess
import sys

import pytest

from tests.handler_process import PATIENCE, ROOT, environment

pytestmark = pytest.mark.needs_swift


def test_a_clip_reaches_the_bucket() -> None:
    command = [sys.executable, "-m", "bench.tail", *"--width 64 --height 64 --frames 9 --runs 1".split()]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    table = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("|")]
    (ours,) = [row for row in table if row[0] == "ours"]
    parts = dict(part.rsplit(" ", 1) for part in ours[2].split(", "))
    assert list(parts) == ["decode", "wait for the encoder", "play", "deliver"]
    assert sum(map(float, parts.values())) <= float(ours[1]) + 0.03
    assert int(ours[4]) > 0 and int(ours[5]) > 1000 and float(ours[6]) > 20
    assert re.search(r"\nour constant rate factor: \d+\n", done.stdout)
