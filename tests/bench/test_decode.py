"""`python -m bench.decode` decodes each length in a process of its own and prints what that took."""

import subprocess
import sys

from tests.handler_process import PATIENCE, ROOT, environment


def rows(*arguments: str) -> list[list[str]]:
    """The printed table's cells, without its head."""
    command = [sys.executable, "-m", "bench.decode", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    table = [line.strip("|").split("|") for line in done.stdout.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line] for line in table[2:]]


def test_a_longer_clip_takes_no_more_memory_as_a_stream() -> None:
    lengths = ["--frames", "37", "--frames", "151"]
    options = ["--width", "60", "--height", "64", *lengths, "--memory", "0.3", "--runs", "1"]
    short, long = rows("--family", "mochi", *options)
    assert (short[:3], long[:3]) == (["mochi", "64x64", "37"], ["mochi", "64x64", "151"])
    assert int(long[3]) < 1.05 * int(short[3])
    assert int(long[3]) < int(long[4])  # with more memory the pieces are larger
    assert int(short[5]) > 0 and float(short[8]) > 0
    little, ample = (float(ratio) for ratio in short[9:])
    assert little > 0 and ample > 0
    assert (long[5], long[8:]) == ("over 0.3 GiB", ["-"] * 3)
