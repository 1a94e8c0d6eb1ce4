"""A small run of the attacks on an endpoint."""

import re
import subprocess
import sys

from tests.handler_process import ROOT, environment

OPTIONS = "--megabytes 50 --sockets 100 --no-bodies --seconds 1"


def test_attacks_take_little() -> None:
    command = [sys.executable, "-m", "bench.abuse", *OPTIONS.split()]
    attacks = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    assert attacks.returncode == 0
    headers, heads, descriptors = attacks.stdout.splitlines()
    assert "HTTP/1.1 431" in headers
    assert " 0 are open after" in heads
    assert " 0 bytes of log" in descriptors
    assert max(int(taken) for taken in re.findall(r"(\d+) MB of memory", attacks.stdout)) < 50
