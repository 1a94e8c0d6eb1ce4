"""The names under which a caller may ask for a video model."""

from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from videoworker.models import MODELS

MODEL_NAMES = tuple(MODELS)


def _known(name: str) -> str:
    if name.lower() not in MODEL_NAMES:
        raise ValueError(f"not one of {MODEL_NAMES}")
    return name.lower()


# Upper and lower case are the same, since the documents write `HunyuanVideo-1.5`.
ModelName = Annotated[str, AfterValidator(_known), WithJsonSchema({"type": "string", "enum": list(MODEL_NAMES)})]
