"""How often an open job is asked about.

Only jobs that run change, and a worker tells its progress once a second. So jobs that run are asked about often, and
those that are next too; the rest is not. If the endpoint's webhooks arrive, nearly all of this can wait.

RunPod allows 2000 status requests in 10 seconds. 200 open jobs on 50 workers take a third of that at their peak.
"""

import random
from dataclasses import dataclass

WATCHED_SECONDS = 10.0  # how long a job counts as watched after a caller has asked about it

_JITTER = 0.15  # of each pause, so that jobs that came together are not asked about together
_FIRST_RETRY_SECONDS = 1.0
_LONGEST_RETRY_SECONDS = 60.0


@dataclass(frozen=True)
class Standing:
    """What a job's next pause depends on. `rank`: its place among the jobs that wait, from 0. `workers`: how many jobs
    run at once. `announced`: whether the endpoint's webhooks arrive."""

    is_running: bool
    is_watched: bool
    rank: int
    workers: int
    announced: bool


def pause(standing: Standing) -> float:
    """Seconds until the next question."""
    if standing.is_watched and (standing.is_running or standing.rank < standing.workers):
        seconds = 1.0
    elif standing.is_running:
        seconds = 15.0 if standing.announced else 2.0
    elif standing.rank < 2 * standing.workers:
        seconds = 3.0
    else:
        seconds = 60.0 if standing.announced else 30.0
    return _jittered(seconds)


def pause_after_fault(faults: int) -> float:
    """Seconds until the next try after `faults` in a row, at least one: doubled each time."""
    return _jittered(min(_FIRST_RETRY_SECONDS * 2 ** min(faults - 1, 10), _LONGEST_RETRY_SECONDS))


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(1 - _JITTER, 1 + _JITTER)
