"""The base of every API's input model."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from videoworker.errors import FieldProblem


class Input(BaseModel):
    """Types are strict, numbers are finite, unknown fields are refused. It is frozen.

    A field can say what it allows by `json_schema_extra={"allowed": ...}`. If it does not, its constraints say so.
    """

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    @classmethod
    def conflicts(cls, fields: Mapping[str, Any]) -> list[FieldProblem]:
        """Problems between fields that are each right by themselves.

        `fields` are the known ones that are not null. They are as the caller wrote them, so they may be of any type.
        """
        return []
