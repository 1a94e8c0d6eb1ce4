"""Whether this process can go on: judged from how its jobs end."""

import torch

from videoworker.errors import Code, JobError

# In a row: one job may simply be too large, but memory that is lost to fragments or leaks fails every next one too.
_MOST_OUT_OF_MEMORY = 2

# After these the device refuses all further work of the process. torch raises AcceleratorError for most; libraries
# that call CUDA by themselves raise a RuntimeError that says it in words.
_BROKEN = ("illegal memory access", "device-side assert", "misaligned address", "illegal instruction")


class Condition:
    """Knows the jobs so far."""

    def __init__(self, most_jobs: int | None) -> None:
        """`most_jobs`: after so many a fresh process should take over."""
        self._most_jobs = most_jobs
        self._jobs = self._out_of_memory = 0
        self._is_spent = False

    def after(self, error: JobError | None) -> None:
        """A job has ended, with this error."""
        self._jobs += 1
        self._out_of_memory = self._out_of_memory + 1 if error and error.code is Code.OUT_OF_MEMORY else 0
        self._is_spent = self._is_spent or (error is not None and error.refresh_worker)

    @property
    def why_to_leave(self) -> str | None:
        """None: the process can go on."""
        if self._is_spent:
            return "the job's error says that a new process may do better"
        if self._out_of_memory >= _MOST_OUT_OF_MEMORY:
            return f"out of memory {self._out_of_memory} times in a row"
        if self._most_jobs and self._jobs >= self._most_jobs:
            return f"{self._jobs} jobs are done"
        return None


def is_broken(exception: Exception) -> bool:
    """Whether it is an error after which the process can use the device no more."""
    is_in_words = isinstance(exception, RuntimeError) and any(words in str(exception) for words in _BROKEN)
    return is_in_words or isinstance(exception, torch.AcceleratorError)
