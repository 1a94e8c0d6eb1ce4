"""Says in plain words what a schema's fields are: for the errors a caller reads, and for the README's tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True)
class FieldWords:
    """One field, by its dotted name. `type` is JSON's; `default` is None where there is none."""

    name: str
    type: str
    required: bool
    default: Any
    allowed: str
    description: str


@cache
def described(schema: type[BaseModel]) -> dict[str, FieldWords]:
    """Every field of `schema`, and of the objects in it, by dotted name, in the schema's order."""
    document = schema.model_json_schema()
    return {words.name: words for words in _described(document, document.get("$defs", {}), prefix="")}


def _described(part: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[FieldWords]:
    for name, declared in part["properties"].items():
        spec = _resolved(declared, definitions)
        yield FieldWords(
            name=prefix + name,
            type=spec["type"],
            required=name in part.get("required", ()),
            default=declared.get("default"),
            allowed=_allowed(spec),
            description=declared.get("description", ""),
        )
        if spec["type"] == "object":
            yield from _described(spec, definitions, prefix=f"{prefix}{name}.")


def _resolved(declared: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The field's own schema: null, which only means "not given", set aside, and a reference followed."""
    spec = next((choice for choice in declared.get("anyOf", ()) if choice.get("type") != "null"), declared)
    if "$ref" in spec:
        spec = definitions[spec["$ref"].rpartition("/")[2]]
    return spec | {key: declared[key] for key in ("allowed",) if key in declared}


def _allowed(spec: dict[str, Any]) -> str:
    if "allowed" in spec:
        return str(spec["allowed"])
    if "const" in spec:
        return "true"  # consent is the only constant
    if "enum" in spec:
        return "one of: " + ", ".join(value or "or empty" for value in spec["enum"])
    match spec["type"]:
        case "integer":
            return f"an integer from {_number(spec['minimum'])} to {_number(spec['maximum'])}" + _grid(spec)
        case "number":
            return f"a number from {_number(spec['minimum'])} to {_number(spec['maximum'])}"
        case "boolean":
            return "true or false"
        case "object":
            return "an object with any of: " + ", ".join(spec["properties"])
        case _:
            return f"{spec['minLength']}-{spec['maxLength']} characters"


def _grid(spec: dict[str, Any]) -> str:
    return f", a multiple of {spec['multipleOf']}" if "multipleOf" in spec else ""


def _number(value: float) -> str:
    """As a person writes it: 6, 0.1, 2^32-1."""
    if isinstance(value, int) and value > 2**31 and (value + 1).bit_count() == 1:
        return f"2^{value.bit_length()}-1"
    return f"{value:g}" if isinstance(value, float) else str(value)
