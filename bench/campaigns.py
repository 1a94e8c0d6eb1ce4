"""How a campaign of faults is run: with a seed that is told, to a report of what was done and what must not be."""

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol


class Campaign(Protocol):
    """One run. `faults` says how often each was made, `ends` how many jobs ended in which way, and `problems` what must
    not be."""

    @property
    def faults(self) -> Counter[str]: ...
    @property
    def ends(self) -> Counter[str]: ...
    @property
    def problems(self) -> list[str]: ...
    def run(self, jobs: int) -> None: ...


def conduct(make: Callable[[Path, random.Random, ExitStack], Campaign], jobs: int, seed: int | None) -> None:
    """Prints what was done, what became of the jobs, and every problem. Ends the process: with 1 if there is one.
    `make` is given an empty folder, what draws the faults, and what ends with the campaign."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    print(f"seed {seed}", flush=True)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="faults-") as folder, ExitStack() as stack:
        campaign = make(Path(folder), random.Random(seed), stack)
        campaign.run(jobs)
    for name, count in campaign.faults.items():
        print(f"{count:4} times: {name}")
    for name, count in campaign.ends.most_common():
        print(f"{count:4} jobs: {name}")
    for problem in campaign.problems:
        print(f"PROBLEM: {problem}")
    print(f"{campaign.ends.total()} jobs, {len(campaign.problems)} problems, {time.monotonic() - started:.0f} s")
    sys.exit(1 if campaign.problems else 0)
