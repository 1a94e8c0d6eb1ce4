"""What a schema is said to allow."""

import pytest
from pydantic import BaseModel

from videoworker.apis import APIS
from videoworker.apis.schema_fields import SchemaField, schema_fields


def fields_of(api: str) -> dict[str, SchemaField]:
    schema: type[BaseModel] = APIS[api].schema
    return schema_fields(schema)


@pytest.mark.parametrize("api", APIS)
def test_every_field_of_every_api_has_a_description(api: str) -> None:
    assert all(field.description for field in fields_of(api).values())


@pytest.mark.parametrize(
    ("api", "field", "allowed"),
    [
        ("hunyuanvideo-foley", "video_prompt", "1-500 characters"),
        ("hunyuanvideo-foley", "duration", "a number from 1 to 30"),
        ("hunyuanvideo-foley", "output_format", "one of: mp4, webm"),
        ("local", "width", "an integer from 256 to 1920, a multiple of 8"),
        ("local", "seed", "an integer from 0 to 2^32-1"),
        ("local", "prefer_backend", "one of: opensora, mochi, auto, or empty"),
        ("local", "low_vram", "true or false"),
        ("local", "lawful_use_consent", "true"),
        ("native", "duration", "a number from 0.1 to 60"),
        ("native", "audio.seed", "an integer from 0 to 2^63-1"),
    ],
)
def test_what_is_allowed_is_said_in_plain_words(api: str, field: str, allowed: str) -> None:
    assert fields_of(api)[field].allowed == allowed


def test_a_field_within_an_object_has_a_dotted_name() -> None:
    assert "audio.negative_prompt" in fields_of("native")


def test_a_required_field_is_told_from_an_optional_one() -> None:
    fields = fields_of("local")
    assert [name for name, field in fields.items() if field.required] == ["prompt", "lawful_use_consent"]
