"""What an API's OpenAPI document says of bodies and answers.

FastAPI cannot see them: the forms read requests themselves, so that errors have the documents' words.
"""

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

Responses = dict[int | str, dict[str, Any]]
Spec = dict[str, Any]

# Of every request.
ALWAYS: Responses = {
    500: {"description": "Internal error"},
    503: {"description": "The service cannot reach its jobs now"},
}
# Of every request with a body.
OF_A_BODY: Responses = {
    400: {"description": "The request is not valid"},
    408: {"description": "The body did not arrive in time"},
    413: {"description": "The body is too large"},
}
NO_MODEL: Responses = {503: {"description": "No model is there that could make the video"}}

_BYTES = {"video/mp4": {"schema": {"type": "string", "format": "binary"}}}
# Of a video's bytes.
VIDEO: Responses = {
    200: {"description": "The video", "content": _BYTES},
    206: {"description": "The part that was asked for", "content": _BYTES},
    304: {"description": "The caller has it already"},
    416: {"description": "There is no such part"},
    500: {"description": "The bytes cannot be had now"},
}

_REFERENCE = "#/components/schemas/{model}"
_NULL = {"type": "null"}
_ABOUT = ("title", "description", "default", "examples")  # what says nothing of which values there may be


def complete(app: FastAPI, invalid: int) -> None:
    """Completes the app's document when it is first asked for. `invalid`: the status of a request whose fields are
    wrong. FastAPI takes it to be 422."""
    of_fastapi = app.openapi

    def openapi() -> dict[str, Any]:
        is_new = app.openapi_schema is None
        document = of_fastapi()
        if is_new:
            _complete(document, invalid)
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI's own documents do it


def _complete(document: dict[str, Any], invalid: int) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for operation in (one for path in document["paths"].values() for one in path.values()):
        for content in operation.get("requestBody", {}).get("content", {}).values():
            schemas |= content["schema"].pop("$defs", {})
        if invalid != 422:
            operation["responses"].pop("422", None)
    if invalid != 422:
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)


def body(schemas: Mapping[str, Spec]) -> dict[str, Any]:
    """For a route's `openapi_extra`: the body's JSON schema for each content type."""
    return {"requestBody": {"required": True, "content": {kind: {"schema": one} for kind, one in schemas.items()}}}


def as_json(model: type[BaseModel], **more: Spec) -> Spec:
    """The schema of a request in JSON. A field that is null counts as absent. `more`: fields beside the model's own."""
    return _changed(model, more, _or_null)


def as_form(model: type[BaseModel], **more: Spec) -> Spec:
    """The schema of a request as a form, which has no null. `more`: fields beside the model's own."""
    return _changed(model, more, _not_null)


def _changed(model: type[BaseModel], more: Mapping[str, Spec], change: Callable[[Spec], Spec]) -> Spec:
    """With a change to each field that may be absent."""
    schema = model.model_json_schema(ref_template=_REFERENCE)
    schema["properties"] |= more
    for one in (schema, *schema.get("$defs", {}).values()):
        required = one.get("required", ())
        fields = one.get("properties", {})
        fields.update({name: change(spec) for name, spec in fields.items() if name not in required})
    return schema


def _or_null(spec: Spec) -> Spec:
    if _NULL in spec.get("anyOf", ()):
        return spec
    about = {name: spec[name] for name in _ABOUT if name in spec}
    return {"anyOf": [{name: value for name, value in spec.items() if name not in about}, _NULL]} | about


def _not_null(spec: Spec) -> Spec:
    if _NULL not in spec.get("anyOf", ()):
        return spec
    kinds = [one for one in spec["anyOf"] if one != _NULL]
    rest = {name: value for name, value in spec.items() if name != "anyOf" and value is not None}
    return (kinds[0] if len(kinds) == 1 else {"anyOf": kinds}) | rest
