"""Of each kind of line one in a while."""

import logging

import pytest

from videoworker.http.log_limit import OnePerKind


@pytest.fixture
def clock() -> list[float]:
    """Its last number is the time."""
    return [0.0]


@pytest.fixture
def logger(clock: list[float], caplog: pytest.LogCaptureFixture) -> logging.Logger:
    logger = logging.getLogger("test of a log's limit")
    logger.filters = [OnePerKind(60, lambda: clock[-1])]
    return logger


def log(logger: logging.Logger, text: str) -> None:
    logger.warning("from %s", text)


def log_error(logger: logging.Logger, error: Exception) -> None:
    try:
        raise error
    except Exception:
        logger.exception("failed")


def test_one_in_a_while(logger: logging.Logger, clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    for number in range(100):
        log(logger, f"caller {number}")
    clock.append(60)
    log(logger, "caller 100")
    clock.append(120)
    log(logger, "caller 101")
    assert caplog.messages == ["from caller 0", "from caller 100 (99 more lines like it left out)", "from caller 101"]


def test_kinds(logger: logging.Logger, caplog: pytest.LogCaptureFixture) -> None:
    """Each place that logs has its line, and each kind of error."""
    for _ in range(3):
        log(logger, "here")
        logger.warning("another")
        log_error(logger, ValueError("one"))
        log_error(logger, ValueError("two"))
        log_error(logger, KeyError("three"))
    assert caplog.messages == ["from here", "another", "failed", "failed"]
