"""Every error a caller can get: code, message, HTTP status, whether a retry can help, and each document's word for it.

A `JobError` is a value: it is raised anywhere in the corridor, caught once in the handler, and turned into the error
object of the API that was spoken by that API's `error()`, which takes the words from `WORDS`.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Code(StrEnum):
    """Our names for what can go wrong; the document's names are in `WORDS`."""

    INVALID_PROMPT = "INVALID_PROMPT"
    INVALID_DURATION = "INVALID_DURATION"
    INVALID_FIELD = "INVALID_FIELD"
    INVALID_IMAGE = "INVALID_IMAGE"
    CONSENT_MISSING = "CONSENT_MISSING"
    MODEL_NOT_LOADED = "MODEL_NOT_LOADED"
    GPU_UNAVAILABLE = "GPU_UNAVAILABLE"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    GENERATION_TIMEOUT = "GENERATION_TIMEOUT"
    OUTPUT_TOO_LARGE = "OUTPUT_TOO_LARGE"
    GENERATION_FAILED = "GENERATION_FAILED"
    DELIVERY_FAILED = "DELIVERY_FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True)
class FieldProblem:
    """One thing wrong with one field: its dotted name, what was given (shortened), and what is allowed."""

    field: str
    given: Any
    allowed: str

    def __str__(self) -> str:
        return f"{self.field}: {self.allowed} (given: {json.dumps(self.given, ensure_ascii=False, default=repr)})"


@dataclass(frozen=True)
class Words:
    """How one of our errors is called in the documents, with its HTTP status."""

    status: int
    retryable: bool
    foley: str
    hunyuanvideo15: str


# The one table. `foley`: names from hunyuanvideo-foley.md, extended in its own style where it names none;
# `hunyuanvideo15`: `error_code` from hunyuanvideo-1.5.md, likewise. The other documents carry only text and HTTP
# status.
WORDS: dict[Code, Words] = {
    Code.INVALID_PROMPT: Words(400, False, "InvalidPromptError", "INVALID_PROMPT"),
    Code.INVALID_DURATION: Words(400, False, "InvalidParameterError", "INVALID_DURATION"),
    Code.INVALID_FIELD: Words(400, False, "InvalidParameterError", "INVALID_PARAMETER"),
    Code.INVALID_IMAGE: Words(400, False, "InvalidParameterError", "INVALID_PARAMETER"),
    Code.CONSENT_MISSING: Words(403, False, "ConsentRequiredError", "CONSENT_REQUIRED"),
    Code.MODEL_NOT_LOADED: Words(503, False, "ModelLoadError", "MODEL_NOT_LOADED"),
    Code.GPU_UNAVAILABLE: Words(503, True, "GPUUnavailableError", "GPU_UNAVAILABLE"),
    Code.OUT_OF_MEMORY: Words(503, True, "GPUUnavailableError", "OOM_ERROR"),
    Code.GENERATION_TIMEOUT: Words(408, False, "GenerationTimeoutError", "GENERATION_TIMEOUT"),
    Code.OUTPUT_TOO_LARGE: Words(413, False, "OutputTooLargeError", "OUTPUT_TOO_LARGE"),
    Code.GENERATION_FAILED: Words(500, True, "InternalServerError", "GENERATION_FAILED"),
    Code.DELIVERY_FAILED: Words(503, True, "DeliveryError", "DELIVERY_FAILED"),
    Code.CANCELLED: Words(499, False, "CancelledError", "CANCELLED"),
}


class JobError(Exception):
    """An error that a caller may read. `message` is for people and holds no path, secret or traceback. Where
    `refresh_worker`, the process should take no further job: a new one may do what this one cannot any more."""

    def __init__(
        self, code: Code, message: str, fields: tuple[FieldProblem, ...] = (), *, refresh_worker: bool = False
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.fields, self.refresh_worker = code, message, fields, refresh_worker

    @property
    def words(self) -> Words:
        return WORDS[self.code]

    @property
    def line(self) -> str:
        """The message and what it does not say itself of the fields, for a terminal."""
        return "; ".join(dict.fromkeys([self.message, *map(str, self.fields)]))
