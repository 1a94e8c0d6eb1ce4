"""A small run of the attacks on a gateway. The program itself fails if an answer is not a documented one."""

import subprocess
import sys

from tests.handler_process import ROOT, environment

OPTIONS = "--megabytes 25 --clients 24 --slow 0"


def test_attacks_get_and_take_little() -> None:
    command = [sys.executable, "-m", "bench.gateway_abuse", *OPTIONS.split()]
    attacks = subprocess.run(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True)
    assert attacks.returncode == 0, attacks.stdout
    assert "nothing is leaked" in attacks.stdout
