"""Whether this process can go on, judged by how its jobs end."""

import torch

from videoworker.errors import Code, JobError

# In a row. One job may just be too large. If memory is lost to fragments or leaks, the next one fails too.
_MOST_OUT_OF_MEMORY = 2

# After these errors the device refuses all further work of the process. torch raises AcceleratorError for most of them.
# Libraries that call CUDA themselves raise a RuntimeError with one of these texts.
_BROKEN = ("illegal memory access", "device-side assert", "misaligned address", "illegal instruction")

# What oneDNN says, which computes on the CPU. If its first one finds too little memory, no later one can be created in
# this process, however much memory there is then.
_NO_PRIMITIVE = "could not create a primitive"


class Condition:
    """Counts the jobs so far, and how they ended."""

    def __init__(self, most_jobs: int | None) -> None:
        """After `most_jobs` a fresh process should take over; None: never for that reason."""
        self._most_jobs = most_jobs
        self._jobs = self._out_of_memory = 0
        self._is_spent = False

    def after(self, error: JobError | None) -> None:
        """Called when a job has ended: with its error, None if it has none."""
        self._jobs += 1
        self._out_of_memory = self._out_of_memory + 1 if error and error.code is Code.OUT_OF_MEMORY else 0
        self._is_spent = self._is_spent or (error is not None and error.refresh_worker)

    @property
    def why_to_leave(self) -> str | None:
        """Why a fresh process should take over; None if this one can go on."""
        if self._is_spent:
            return "the job's error says that a new process may do better"
        if self._out_of_memory >= _MOST_OUT_OF_MEMORY:
            return f"out of memory {self._out_of_memory} times in a row"
        if self._most_jobs and self._jobs >= self._most_jobs:
            return f"{self._jobs} jobs are done"
        return None


def is_broken(exception: Exception) -> bool:
    """Whether the process cannot use the device any more after this error."""
    is_by_text = isinstance(exception, RuntimeError) and any(text in str(exception) for text in _BROKEN)
    return is_by_text or isinstance(exception, torch.AcceleratorError)


def cannot_compute(exception: Exception) -> bool:
    """Whether memory ran out on the CPU in such a way that the process cannot compute any more."""
    return isinstance(exception, RuntimeError) and _NO_PRIMITIVE in str(exception)
