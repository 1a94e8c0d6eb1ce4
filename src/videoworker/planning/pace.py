"""How long work will take, judged by what work like it has taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Annotated

from pydantic import Field

from videoworker.planning.work import Part, Work
from videoworker.request import Stage

KEPT = 20  # measured parts of each pace: the newest ones

# There is no estimate beyond so many times the most that was measured: a small job's time is mostly fixed costs.
_FARTHEST = 10.0

_LEAST_SECONDS = 0.05  # what takes less counts as if it took so long: nobody waits for it

# How much must speak for an amount that is not the first: of the squared relative error of one measured part.
_DOUBT = 0.05
_ROUNDS = 40


_Number = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Measured:
    """What a part with these amounts took."""

    seconds: _Number
    amounts: tuple[_Number, ...]


class Pace:
    """`measured` parts, by their pace, the newest last. It never changes."""

    def __init__(self, measured: Mapping[str, Sequence[Measured]]) -> None:
        self._measured = measured

    def expected(self, work: Work) -> dict[Stage, float] | None:
        """Seconds by stage, of those stages that are known; None if the main one is not."""
        found = {part.stage: seconds for part in work if (seconds := self._seconds(part)) is not None}
        return found if work and work[0].stage in found else None

    def _seconds(self, part: Part) -> float | None:
        known = [one for one in self._measured.get(part.pace, ()) if len(one.amounts) == len(part.amounts)]
        if not known or part.amounts[0] > _FARTHEST * max(one.amounts[0] for one in known):
            return None
        rates = _rates(known)
        return sum(rate * amount for rate, amount in zip(rates, part.amounts, strict=True))


def measured(work: Work, timings: Mapping[str, float]) -> dict[str, Measured]:
    """What is learnt from a job that took `timings`, by pace."""
    return {
        part.pace: Measured(timings[part.stage], part.amounts)
        for part in work
        if part.stage in timings and part.amounts[0] > 0
    }


def _rates(known: Sequence[Measured]) -> list[float]:
    """Seconds for one of each amount, none below 0, with the least squares of relative errors. So a job that was held
    up by something else counts little. What the jobs leave open goes to the first amount."""
    typical = fmean(max(one.seconds, _LEAST_SECONDS) for one in known)
    means = [fmean(column) for column in zip(*(one.amounts for one in known), strict=True)]
    rows, wanted = [], []
    for one in known:
        weight = 1 / max(one.seconds, _LEAST_SECONDS)
        rows.append(
            [amount / mean * typical * weight if mean else 0.0 for amount, mean in zip(one.amounts, means, strict=True)]
        )
        wanted.append(one.seconds * weight)
    shares = _least_squares(rows, wanted)
    return [share * typical / mean if mean else 0.0 for share, mean in zip(shares, means, strict=True)]


def _least_squares(rows: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """Numbers, none below 0, with which the columns of `rows` add up to what is `wanted`; by coordinate descent."""
    columns = list(zip(*rows, strict=True))
    products = [[sum(a * b for a, b in zip(one, other, strict=True)) for other in columns] for one in columns]
    targets = [sum(a * b for a, b in zip(column, wanted, strict=True)) for column in columns]
    found = [0.0] * len(columns)
    for _ in range(_ROUNDS):
        for index, row in enumerate(products):
            others = sum(a * b for a, b in zip(row, found, strict=True)) - row[index] * found[index]
            size = row[index] + (_DOUBT if index else 0.0)
            found[index] = max(0.0, (targets[index] - others) / size) if size else 0.0
    return found
