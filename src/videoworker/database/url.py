"""The URL of a database as an operator sets it: SQLite's file, or PostgreSQL."""

from typing import Annotated

from pydantic import AfterValidator, SecretStr
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError


def _known(value: SecretStr) -> SecretStr:
    try:
        url = make_url(value.get_secret_value())
    except (ArgumentError, ValueError):
        url = make_url("unknown://")
    if (
        url.get_backend_name() not in {"sqlite", "postgresql"}
        or url.database in {None, "", ":memory:"}
        or "@" in (url.host or "")  # of a password: it must be written as %40, since drivers' errors name hosts
        or (url.get_backend_name() == "sqlite" and url.query)
    ):
        raise ValueError("must be sqlite:///<path> or postgresql://<user>:<password>@<host>/<database>")
    return value


# It may hold a password.
DatabaseUrl = Annotated[SecretStr, AfterValidator(_known)]
