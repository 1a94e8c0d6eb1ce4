"""A caller's picture or clip as text. `media` fetches and decodes it later."""

from typing import Annotated

from pydantic import Field

LONGEST_IMAGE = 30_000_000  # characters: about 22 MB of picture in base64, above what the platform carries in one job

Image = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_IMAGE,
        json_schema_extra={
            "allowed": f"an http(s) URL, a data URI or base64 of a JPEG or PNG, 1-{LONGEST_IMAGE} characters",
            "contentMediaType": "image/*",
        },
    ),
]

GivenVideo = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_IMAGE,
        json_schema_extra={
            "allowed": f"an http(s) URL, a data URI or base64 of an mp4, mov, webm or mkv clip, 1-{LONGEST_IMAGE} "
            "characters"
        },
    ),
]
