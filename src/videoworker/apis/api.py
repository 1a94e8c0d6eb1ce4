"""What an API is: a schema, its translation into a `VideoRequest`, and its forms of progress, answer and error."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

from videoworker.apis import validation
from videoworker.apis.validation import InputType
from videoworker.errors import JobError
from videoworker.request import Progress, Result, VideoRequest


@dataclass(frozen=True)
class Api(Generic[InputType]):
    """One request format.

    If a request names no model, `model` makes its video; None: the best one that is installed. `progress`, `answer` and
    `error` give the document's object, ready for JSON. `worker_name`: what workers know the API by; empty: its `name`.
    """

    name: str
    model: str | None
    schema: type[InputType]
    translate: Callable[[InputType], VideoRequest]
    progress: Callable[[Progress], dict[str, Any]]
    answer: Callable[[Result], dict[str, Any]]
    error: Callable[[JobError, str], dict[str, Any]]
    worker_name: str = ""

    @property
    def takes_video(self) -> bool:
        """Whether a request may give a video, to which sound is added."""
        return "video" in self.schema.model_fields

    def parse(self, raw: Mapping[str, Any]) -> VideoRequest:
        """The request that a job's `input` makes. Raises `JobError` with every problem of the input in `fields`."""
        return self.translate(validation.validated(self.schema, _without_api(validation.as_object(raw))))

    def read_form(self, form: Mapping[str, Any]) -> dict[str, Any]:
        """The `input` that form data makes, for `parse`. Every value is text ("24", "true"), or an object of texts. A
        field that is empty counts as absent. Raises as `parse` does."""
        body = validation.validated_form(self.schema, _without_api(form))
        return body.model_dump(exclude_unset=True, exclude_none=True)


def _without_api(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "api"}
