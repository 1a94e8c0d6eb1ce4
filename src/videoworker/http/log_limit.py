"""A log that callers cannot fill: of each kind of line one passes in a while, and says how many did not."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

_SECONDS = 60.0

Kind = tuple[object, ...]


@dataclass
class _Passed:
    at: float
    left_out: int = 0


class OnePerKind(logging.Filter):
    """A filter for a logger. `seconds`: how long lines of a kind are left out after one has passed.

    A kind is the place in the code that logs, with the place in the code that raised. So there are only so many.
    """

    def __init__(self, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds, self._clock = seconds, clock
        self._passed: dict[Kind, _Passed] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind, now = _kind(record), self._clock()
        last = self._passed.get(kind)
        if last is not None and now - last.at < self._seconds:
            last.left_out += 1
            return False
        if last is not None and last.left_out:
            record.msg, record.args = f"{record.getMessage()} ({last.left_out} more lines like it left out)", ()
        self._passed[kind] = _Passed(now)
        return True


def _kind(record: logging.LogRecord) -> Kind:
    place = record.pathname, record.lineno
    if not record.exc_info or record.exc_info[2] is None:
        return place
    raised, trace = record.exc_info[0], record.exc_info[2]
    while trace.tb_next is not None:
        trace = trace.tb_next
    return *place, raised, trace.tb_frame.f_code.co_filename, trace.tb_lineno
