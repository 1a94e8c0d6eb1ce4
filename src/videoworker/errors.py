"""Every error that a caller can get: its code, its message, its HTTP status, and whether a retry can help.

A `JobError` is a value. Any room may raise it, and the handler catches it once. The job's API then gives it the form of
its document. The names that a document has for errors stand in that API's file.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Code(StrEnum):
    """Our names for what can go wrong."""

    INVALID_PROMPT = "INVALID_PROMPT"
    INVALID_DURATION = "INVALID_DURATION"
    INVALID_FIELD = "INVALID_FIELD"
    INVALID_IMAGE = "INVALID_IMAGE"
    INVALID_VIDEO = "INVALID_VIDEO"
    CONSENT_MISSING = "CONSENT_MISSING"
    MODEL_NOT_LOADED = "MODEL_NOT_LOADED"
    GPU_UNAVAILABLE = "GPU_UNAVAILABLE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    GENERATION_TIMEOUT = "GENERATION_TIMEOUT"
    OUTPUT_TOO_LARGE = "OUTPUT_TOO_LARGE"
    GENERATION_FAILED = "GENERATION_FAILED"
    DELIVERY_FAILED = "DELIVERY_FAILED"
    CANCELLED = "CANCELLED"


# HTTP status codes. 499 is nginx's for a client that closed its request.
STATUS: dict[Code, int] = {
    Code.INVALID_PROMPT: 400,
    Code.INVALID_DURATION: 400,
    Code.INVALID_FIELD: 400,
    Code.INVALID_IMAGE: 400,
    Code.INVALID_VIDEO: 400,
    Code.CONSENT_MISSING: 403,
    Code.MODEL_NOT_LOADED: 503,
    Code.GPU_UNAVAILABLE: 503,
    Code.OUT_OF_MEMORY: 503,
    Code.GENERATION_TIMEOUT: 408,
    Code.OUTPUT_TOO_LARGE: 413,
    Code.GENERATION_FAILED: 500,
    Code.DELIVERY_FAILED: 503,
    Code.CANCELLED: 499,
}

# The same request may succeed later, or on another worker.
RETRYABLE = frozenset({Code.GPU_UNAVAILABLE, Code.OUT_OF_MEMORY, Code.GENERATION_FAILED, Code.DELIVERY_FAILED})


@dataclass(frozen=True)
class FieldProblem:
    """One thing wrong with one field: its dotted name, the value that the caller gave (shortened), what is allowed."""

    field: str
    given: Any
    allowed: str

    def __str__(self) -> str:
        return f"{self.field}: {self.allowed} (given: {json.dumps(self.given, ensure_ascii=False, default=repr)})"


class JobError(Exception):
    """An error that a caller may read.

    `message` is for people. It holds no path, secret or traceback. If `refresh_worker` is true, this process should
    take no further job, because a new one may do what this one no longer can.
    """

    def __init__(
        self, code: Code, message: str, fields: tuple[FieldProblem, ...] = (), *, refresh_worker: bool = False
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.fields, self.refresh_worker = code, message, fields, refresh_worker

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    @property
    def retryable(self) -> bool:
        """Whether a retry can help."""
        return self.code in RETRYABLE

    @property
    def line(self) -> str:
        """For a terminal: the message, and the problems of fields that it does not tell already."""
        return "; ".join(dict.fromkeys([self.message, *map(str, self.fields)]))
