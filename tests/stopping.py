"""A job that is cancelled on its way."""

from videoworker.request import Progress
from videoworker.watch import Watch


def cancelled_at(step: int) -> tuple[Watch, list[Progress]]:
    """A watch whose job is cancelled while it reports `step`, and the reports it made."""
    reports: list[Progress] = []

    def report(progress: Progress) -> None:
        reports.append(progress)
        if progress.step >= step:
            watch.cancel.set()

    watch = Watch("a", report, 1000.0)
    return watch, reports
