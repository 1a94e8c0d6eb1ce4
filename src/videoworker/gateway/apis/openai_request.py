"""A request for a video in the protocol of the `openai` client, as an input of the `native` API.

The client sends a form, whose values are text. Others send JSON. Servers that speak the protocol take more fields than
its documents have: those that `native` has too are taken here, by either name. Any other is refused.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile

from videoworker.apis.native import API
from videoworker.apis.quoting import quoted
from videoworker.apis.validation import as_object
from videoworker.errors import Code, FieldProblem, JobError
from videoworker.gateway.apis.form import form_body, json_body
from videoworker.gateway.pictures import carried
from videoworker.http.body import parse_json
from videoworker.http.form import is_form
from videoworker.models import MODELS
from videoworker.models.sketch import SKETCH
from videoworker.request import VideoRequest

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")
_IN_BRACKETS = re.compile(r"(\w+)\[(\w+)\]")
_PACKED = ("extra_body", "extra_params")  # objects of more fields, which forms carry as JSON
_PICTURES = ("input_reference", "image_reference", "reference_url")  # names of `image` elsewhere
_NAMES = {"duration": "seconds", "width": "size", "height": "size"}  # in errors, of what the caller gave by that name

Fields = dict[str, Any]


async def job_input(request: Request) -> Fields:
    """Raises `HTTPException`, and `JobError` that names the fields as the caller did."""
    if is_form(request):
        async with form_body(request) as form:
            return await _native(_unpacked(_unfolded(form), as_text=True), is_text=True)
    body = dict(as_object(await json_body(request)))
    return await _native(_unpacked(body, as_text=False), is_text=False)


def size_and_seconds(asked: VideoRequest) -> tuple[str, float]:
    """What a video will have, as far as that is known before it is made."""
    model = MODELS[asked.model or SKETCH.name]
    width, height = asked.width or model.default_width, asked.height or model.default_height
    frames = asked.num_frames or model.default_frames
    return f"{width}x{height}", asked.duration or frames / (asked.fps or model.fps)


async def _native(given: Fields, is_text: bool) -> Fields:
    fields, picture = _translated(given, is_text)
    try:
        if is_text:
            fields = API.read_form(fields)
        asked = API.parse(fields)
    except JobError as error:
        raise _renamed(error, given) from None
    if picture is not None:
        width, _, height = size_and_seconds(asked)[0].partition("x")
        fields["image"] = await carried(picture, "input_reference", (int(width), int(height)))
    return fields


def _translated(given: Fields, is_text: bool) -> tuple[Fields, str | UploadFile | None]:
    """The fields by native's names, and the picture. Raises `JobError`."""
    fields = {name: value for name, value in given.items() if value is not None and value != ""}
    fields.pop("user", None)  # whom the caller calls for; it changes nothing
    seconds = fields.pop("seconds", None)
    if seconds is not None and "num_frames" not in fields:
        _refuse_both(fields, "seconds", "duration")
        fields["duration"] = seconds if is_text else _number(seconds)
    if (size := fields.pop("size", None)) is not None:
        sides = _SIZE.fullmatch(size) if isinstance(size, str) else None
        if sides is None:
            _refuse("size", size, "width and height in pixels, such as 1280x720")
        for name, side in zip(("width", "height"), sides.groups(), strict=True):
            value = side if is_text else int(side)
            if fields.setdefault(name, value) != value:
                _refuse("size", size, f"not another {name} than {name} says")
    if (sound := fields.pop("generate_sound", None)) in (True, "true", "True", "1"):
        fields.setdefault("audio", {})
    elif sound not in (None, False, "false", "False", "0"):
        _refuse("generate_sound", sound, "true or false")
    return fields, _picture(fields)


def _picture(fields: Fields) -> str | UploadFile | None:
    """Takes the picture out of the fields, whatever it is called."""
    given = [(name, fields.pop(name)) for name in (*_PICTURES, "image") if name in fields]
    if len(given) > 1:
        _refuse_both(dict(given), given[0][0], given[1][0])
    for name, value in given:
        if isinstance(value, str) and value.lstrip().startswith("{"):
            value = _object(name, value)
        if isinstance(value, Mapping):
            value = value.get("image_url")
        if not isinstance(value, str | UploadFile):
            _refuse(name, value, "a file, a URL, a data URI, or an object with image_url")
        return value
    return None


def _unfolded(form: Mapping[str, Any]) -> Fields:
    """`{"a[b]": ...}` as `{"a": {"b": ...}}`: so the client sends an object."""
    fields: Fields = {}
    for name, value in form.items():
        if found := _IN_BRACKETS.fullmatch(name):
            inner = fields.setdefault(found[1], {})
            if not isinstance(inner, dict):
                _refuse(found[1], inner, "not together with an object of that name")
            inner[found[2]] = value
        else:
            fields[name] = value
    return fields


def _unpacked(fields: Fields, as_text: bool) -> Fields:
    """With the fields that others pack into one. Those go before others of the same name."""
    for name in _PACKED:
        packed = fields.pop(name, None)
        if packed in (None, ""):
            continue
        inner = _object(name, packed) if isinstance(packed, str) else packed
        if not isinstance(inner, Mapping):
            _refuse(name, packed, "an object")
        fields |= {key: _text(value) if as_text else value for key, value in inner.items()}
    return fields


def _object(name: str, text: str) -> Any:
    try:
        return parse_json(text.encode())
    except (HTTPException, UnicodeEncodeError):
        _refuse(name, text, "an object in JSON")


def _text(value: Any) -> Any:
    """The value as a form has it."""
    if isinstance(value, Mapping):
        return {name: _text(inner) for name, inner in value.items()}
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value)


def _number(given: Any) -> Any:
    """The client's types have seconds as text. What is none stays for the schema to refuse."""
    try:
        return float(given) if isinstance(given, str) else given
    except ValueError:
        return given


def _renamed(error: JobError, given: Fields) -> JobError:
    """The error with the names that the caller used."""
    problems = tuple(
        FieldProblem(name if name in given and one.field not in given else one.field, one.given, one.allowed)
        for one in error.fields
        for name in [_NAMES.get(one.field, one.field)]
    )
    return JobError(error.code, "; ".join(map(str, problems)) or error.message, problems)


def _refuse_both(fields: Fields, one: str, other: str) -> None:
    if other in fields:
        _refuse(one, fields.get(one), f"not together with {other}")


def _refuse(field: str, given: Any, allowed: str) -> NoReturn:
    problem = FieldProblem(field, quoted(given), allowed)
    raise JobError(Code.INVALID_FIELD, str(problem), (problem,))
