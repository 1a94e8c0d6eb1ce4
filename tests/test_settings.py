"""The environment variables of the worker, the endpoint and the gateway, when one is wrong."""

import pytest
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from videoworker.endpoint.settings import EndpointSettings
from videoworker.gateway.settings import GatewaySettings
from videoworker.settings import SdkSettings, Settings, what_is_wrong

SECRET = "hunter2:\n@{[\x7f"
EVERY = [
    (kind, name) for kind in (Settings, SdkSettings, EndpointSettings, GatewaySettings) for name in kind.model_fields
]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_value_is_not_repeated(kind: type[BaseSettings], name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret in the wrong place may not get into the log. Variables that take any text cannot be wrong."""
    monkeypatch.setenv(name.upper(), SECRET)
    try:
        kind()
    except ValidationError as error:
        told = what_is_wrong(error)
        assert told.startswith(f"{name.upper()}: ") and "hunter2" not in told.lower()
    else:
        assert kind.model_fields[name].annotation not in (int, float, bool)
