"""Progress out, cancellation and the time limit in."""

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoworker.errors import Code, JobError
from videoworker.request import Progress, Stage
from videoworker.watch import Watch

LONG = 1000.0  # seconds
IN_ORDER: list[Stage] = ["load", "encode_prompt", "denoise", "decode", "encode", "deliver"]


def watched(time_limit: float = LONG) -> tuple[Watch, list[Progress]]:
    reports: list[Progress] = []
    return Watch("a", reports.append, time_limit), reports


def code_of(watch: Watch) -> Code:
    with pytest.raises(JobError) as caught:
        watch.check()
    return caught.value.code


def test_a_job_of_many_segments_goes_from_its_beginning_to_one_without_a_step_back() -> None:
    watch, reports = watched()
    watch.step("load", 1, 1)
    watch.step("encode_prompt", 1, 1)
    for index in range(3):
        for step in range(20):
            watch.segment(index, 3).step("denoise", step + 1, 20)
        for chunk in (3, 5, 7):
            watch.segment(index, 3).step("decode", chunk, 7)
    watch.step("encode", 1, 1)
    watch.step("deliver", 1, 1)

    fractions = [report.fraction for report in reports]
    assert fractions == sorted(set(fractions))  # every step is a step forward
    assert fractions[-1] == 1.0
    assert (reports[2].stage, reports[2].step, reports[2].steps) == ("denoise", 1, 20)


def test_every_segment_takes_the_same_share_of_the_way() -> None:
    watch, reports = watched()
    for index in range(4):
        watch.segment(index, 4).step("decode", 7, 7)
    shares = [later.fraction - earlier.fraction for earlier, later in pairwise(reports)]
    assert shares == pytest.approx([shares[0]] * 3)


@given(
    st.lists(
        st.tuples(st.sampled_from(IN_ORDER), st.integers(0, 50), st.integers(0, 50), st.integers(0, 9)), max_size=30
    )
)
def test_the_fraction_never_decreases_whatever_is_reported(steps: list[tuple[Stage, int, int, int]]) -> None:
    watch, reports = watched()
    for stage, step, count, index in steps:
        watch.segment(index, 10).step(stage, min(step, count), count)
    fractions = [report.fraction for report in reports]
    assert fractions == sorted(fractions)
    assert all(0 <= fraction <= 1 for fraction in fractions)


def test_a_report_says_which_job_it_is_of_and_how_long_that_has_run() -> None:
    watch, reports = watched()
    watch.step("denoise", 1, 4)
    watch.step("denoise", 2, 4)
    assert [report.job_id for report in reports] == ["a", "a"]
    assert 0 <= reports[0].elapsed <= reports[1].elapsed <= watch.elapsed


def test_the_remaining_time_is_unknown_at_first_and_nothing_at_the_end() -> None:
    watch, reports = watched()
    watch.step("load", 1, 1)
    watch.step("denoise", 2, 4)
    watch.step("deliver", 1, 1)
    first, middle, last = (report.remaining for report in reports)
    assert first is None
    assert middle is not None and middle >= 0
    assert last == 0


def test_a_job_that_is_neither_cancelled_nor_late_goes_on() -> None:
    watch, _ = watched()
    watch.check()
    watch.step("denoise", 1, 2)


def test_a_cancelled_job_stops_at_its_next_check_and_at_every_later_one() -> None:
    watch, reports = watched()
    watch.step("denoise", 1, 4)
    canceller = threading.Thread(target=watch.cancel.set)
    canceller.start()
    canceller.join()
    assert code_of(watch) is Code.CANCELLED
    with pytest.raises(JobError) as caught:
        watch.step("denoise", 2, 4)
    assert caught.value.code is Code.CANCELLED
    assert [report.step for report in reports] == [1, 2]  # the step was made, and is told, before the job stops


def test_a_job_whose_time_is_over_stops_in_the_documents_words() -> None:
    watch, _ = watched(time_limit=600)
    watch.check()
    late, reports = watched(time_limit=1e-9)
    with pytest.raises(JobError) as caught:
        late.step("denoise", 1, 4)
    assert caught.value.code is Code.GENERATION_TIMEOUT
    assert caught.value.message == "Video generation exceeded time limit (1e-09 seconds)"
    assert len(reports) == 1


def test_a_job_that_is_cancelled_and_late_is_cancelled() -> None:
    watch, _ = watched(time_limit=1e-9)
    watch.cancel.set()
    assert code_of(watch) is Code.CANCELLED


def test_a_job_that_would_not_be_done_in_time_is_refused_with_both_numbers() -> None:
    watch, _ = watched(600.0)
    watch.expect(None)
    watch.expect({"denoise": 700.0})  # estimates may be wrong by a fifth
    with pytest.raises(JobError) as caught:
        watch.expect({"denoise": 1100.0, "decode": 400.0})
    assert caught.value.code is Code.GENERATION_TIMEOUT
    assert "about 1500 seconds (25 minutes)" in caught.value.message and "limit is 600 seconds" in caught.value.message
    assert "policy.executionTimeout" in caught.value.message and "JOB_TIMEOUT_SECONDS" in caught.value.message


def test_expected_seconds_are_the_way() -> None:
    """What a job spends before anything is expected of it counts neither as way nor as time."""
    now, reports = 0.0, list[Progress]()
    watch = Watch("a", reports.append, LONG, clock=lambda: now)
    now = 500.0  # it fetched weights
    watch.expect({"denoise": 60.0, "decode": 10.0, "encode": 10.0, "deliver": 20.0})
    watch.step("encode_prompt", 1, 1)
    for index in range(2):
        for step in range(3):
            now += 10.0
            watch.segment(index, 2).step("denoise", step + 1, 3)
        now += 10.0
        watch.segment(index, 2).step("decode", 1, 1)
    watch.step("encode", 1, 1)
    now += 20.0
    watch.step("deliver", 1, 1)
    assert [one.fraction for one in reports] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.8, 1])
    assert [one.remaining for one in reports] == pytest.approx([100, 90, 80, 70, 60, 50, 40, 30, 20, 20, 0], abs=1e-6)


def test_a_sound_of_which_nothing_is_known_has_a_share() -> None:
    watch, reports = watched()
    watch.expect({"denoise": 90.0, "decode": 10.0})
    watch.expect_sound()
    watch.step("decode", 1, 1)
    watch.sound().step("denoise", 1, 1)
    assert [one.fraction for one in reports] == pytest.approx([0.7, 1.0])


def test_notes() -> None:
    """Each is kept once, in their order, whichever segment it is of."""
    watch, _ = watched()
    watch.note("b")
    watch.segment(1, 2).note("a")
    watch.note("b")
    assert watch.notes == ("b", "a")


def test_timings() -> None:
    """The seconds of a stage add up over segments, also if a block ends in an error."""
    watch, _ = watched()
    with watch.stage("decode"):
        pass
    first = watch.timings["decode"]
    with pytest.raises(ValueError), watch.segment(1, 2).stage("decode"):
        raise ValueError
    assert list(watch.timings) == ["decode"] and watch.timings["decode"] > first > 0


def test_cancel_reaches_segments() -> None:
    watch, _ = watched()
    segment = watch.segment(0, 2)
    watch.cancel.set()
    assert code_of(segment) is Code.CANCELLED
