"""Checks an input against an API's schema. Types are strict. All problems are told at once, in plain words."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from videoworker.apis.input import Input
from videoworker.apis.quoting import quoted
from videoworker.apis.schema_fields import schema_fields
from videoworker.errors import Code, FieldProblem, JobError

InputType = TypeVar("InputType", bound=Input)

# Fields whose problems have a code of their own in the documents. Any other field's is INVALID_FIELD.
_CODES = {
    "prompt": Code.INVALID_PROMPT,
    "video_prompt": Code.INVALID_PROMPT,
    "audio_prompt": Code.INVALID_PROMPT,
    "negative_prompt": Code.INVALID_PROMPT,
    "audio.prompt": Code.INVALID_PROMPT,
    "audio.negative_prompt": Code.INVALID_PROMPT,
    "duration": Code.INVALID_DURATION,
    "lawful_use_consent": Code.CONSENT_MISSING,
}
_MOST_UNKNOWN = 100  # unknown fields that get a problem each: an error must stay under the platform's size
_LARGEST_EXACT = 2.0**63  # larger numbers are out of every range, and are told as they are written
_MOST_IN_MESSAGE = 3  # problems in the message; `fields` has them all


def as_object(raw: object) -> Mapping[str, Any]:
    """The input as a mapping. Raises `JobError` if it is anything else."""
    if isinstance(raw, Mapping):
        return raw
    problem = FieldProblem("input", quoted(raw), "a JSON object")
    raise JobError(Code.INVALID_FIELD, str(problem), (problem,))


def validated(schema: type[InputType], raw: Mapping[str, Any]) -> InputType:
    """The input as the schema's model. A field that is null counts as absent. Raises `JobError`."""
    return _validated(schema, raw, schema.model_validate)


def validated_form(schema: type[InputType], form: Mapping[str, Any]) -> InputType:
    """As `validated`, but every value is text, or an object of texts. A field that is empty counts as absent. Raises
    `JobError`."""
    fields = {name: value if value != "" else None for name, value in form.items()}
    return _validated(schema, fields, schema.model_validate_strings)


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like `name`; None if none is."""
    return next(iter(difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.5)), None)


def _validated(schema: type[InputType], raw: Mapping[str, Any], validate: Callable[[Any], InputType]) -> InputType:
    fields, unknown = _known_and_unknown(schema, raw)
    conflicts = schema.conflicts(fields)
    try:
        body = validate(fields)
    except ValidationError as error:
        raise _job_error(schema, [*_wrong(schema, error), *conflicts], unknown) from None
    if conflicts or unknown:
        raise _job_error(schema, conflicts, unknown)
    return body


def _known_and_unknown(schema: type[BaseModel], raw: Mapping[Any, Any]) -> tuple[dict[str, Any], list[FieldProblem]]:
    """The known fields that are not null, and a problem for each unknown field.

    The schema forbids unknown fields too. But if a key is none that UTF-8 can carry, it tells of no other problem.
    """
    known = list(schema.model_fields)
    names = [name for name in raw if name not in schema.model_fields]
    unknown = [_unknown(str(quoted(name)), raw[name], known) for name in names[:_MOST_UNKNOWN]]
    if len(names) > _MOST_UNKNOWN:
        unknown.append(FieldProblem("input", f"{len(names)} unknown fields", f"only these fields: {', '.join(known)}"))
    fields = {name: _number(schema, name, raw[name]) for name in known if raw.get(name) is not None}
    for name, value in fields.items():
        nested = _object_in(schema, name)
        if nested is not None and isinstance(value, Mapping):
            fields[name], inner = _known_and_unknown(nested, value)
            unknown += [FieldProblem(f"{name}.{problem.field}", problem.given, problem.allowed) for problem in inner]
    return fields, unknown


def _number(schema: type[BaseModel], name: str, value: Any) -> Any:
    """The value, as an integer if it is one that is written as 49.0: JSON has one kind of number."""
    is_integral = isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_EXACT
    return int(value) if is_integral and int in _kinds(schema, name) else value


def _kinds(schema: type[BaseModel], name: str) -> tuple[Any, ...]:
    """The types that a field may have."""
    annotation = schema.model_fields[name].annotation
    return (annotation, *get_args(annotation))


def _unknown(name: str, value: Any, known: list[str]) -> FieldProblem:
    nearest = nearest_name(name, known)
    hint = f"did you mean {nearest}?" if nearest else f"known fields: {', '.join(known)}"
    return FieldProblem(name, quoted(value), f"no such field; {hint}")


def _object_in(schema: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The schema of the object that the field `name` holds, if it holds one."""
    return next((kind for kind in _kinds(schema, name) if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _wrong(schema: type[BaseModel], error: ValidationError) -> list[FieldProblem]:
    fields = schema_fields(schema)
    problems = []
    for detail in error.errors(include_url=False, include_context=False):
        name = ".".join(map(str, detail["loc"]))
        given = None if detail["type"] == "missing" else quoted(detail["input"])
        unencodable = " that UTF-8 can carry (no lone surrogates)" if detail["type"] == "string_unicode" else ""
        problems.append(FieldProblem(name, given, fields[name].allowed + unencodable))
    return problems


def _job_error(schema: type[BaseModel], wrong: list[FieldProblem], unknown: list[FieldProblem]) -> JobError:
    """`wrong` are problems of the schema's fields.

    A prompt's code goes before a duration's, and that one before the others. Consent's code is told only if nothing
    else is wrong.
    """
    by_code = {_CODES.get(problem.field, Code.INVALID_FIELD): problem for problem in reversed(wrong)}
    fields = (*wrong, *unknown)
    for code in (Code.INVALID_PROMPT, Code.INVALID_DURATION):
        if code in by_code:
            return JobError(code, _must_be(by_code[code]), fields)
    if set(by_code) == {Code.CONSENT_MISSING} and not unknown:
        return JobError(Code.CONSENT_MISSING, "Lawful use consent not given: lawful_use_consent must be true", fields)
    told = "; ".join(map(str, fields[:_MOST_IN_MESSAGE]))
    more = len(fields) - _MOST_IN_MESSAGE
    return JobError(Code.INVALID_FIELD, told + (f"; and {more} more" if more > 0 else ""), fields)


def _must_be(problem: FieldProblem) -> str:
    """A sentence in the documents' style: "Video prompt must be 1-500 characters"."""
    return f"{problem.field.replace('_', ' ').replace('.', ' ').capitalize()} must be {problem.allowed}"
