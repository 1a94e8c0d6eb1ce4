"""What the fields of an API's schema are and allow, in plain words, for its errors and for the tables in `docs/`."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel


@dataclass(frozen=True)
class SchemaField:
    """One field, by its dotted name. `type` is JSON's. `default` is None if there is none."""

    name: str
    type: str
    required: bool
    default: Any
    allowed: str
    description: str


@cache
def schema_fields(schema: type[BaseModel]) -> dict[str, SchemaField]:
    """Every field of `schema`, and of the objects in it, by dotted name, in the schema's order."""
    document = schema.model_json_schema()
    return {field.name: field for field in _fields(document, document.get("$defs", {}), prefix="")}


def _fields(schema: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[SchemaField]:
    for name, declared in schema["properties"].items():
        spec = _resolved(declared, definitions)
        yield SchemaField(
            name=prefix + name,
            type=spec["type"],
            required=name in schema.get("required", ()),
            default=declared.get("default"),
            allowed=_allowed(spec),
            description=declared.get("description", ""),
        )
        if spec["type"] == "object":
            yield from _fields(spec, definitions, prefix=f"{prefix}{name}.")


def _resolved(declared: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The field's own schema. A reference is followed. Null is left out: it only says that the field is absent."""
    spec = next((option for option in declared.get("anyOf", ()) if option.get("type") != "null"), declared)
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
