"""The base of every API's input model."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from videoworker.errors import FieldProblem


class Input(BaseModel):
    """Strict types, no unknown fields, finite numbers, frozen.

    A field with `json_schema_extra={"allowed": ...}` says in its own words what is allowed.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    @classmethod
    def conflicts(cls, fields: Mapping[str, Any]) -> list[FieldProblem]:
        """Problems between fields that are each right by themselves.

        `fields` are the known ones that are not null. They are as the caller wrote them, so they may be of any type.
        """
        return []
