"""The fields of an API's form: its JSON schema in the order and the words of the page."""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_SHOWN_FIRST = frozenset(
    {"prompt", "image", "resolution", "width", "height", "num_frames", "video_length", "duration", "audio", "model"}
)

_LABELS = {
    "fps": "Frames per second",
    "num_frames": "Frames",
    "video_length": "Frames",
    "num_inference_steps": "Steps",
    "prefer_backend": "Backend",
    "low_vram": "Low VRAM",
    "crf": "CRF",
    "lawful_use_consent": "Lawful use",
}

# Where the documents say no more than the label, or what only a program needs to know.
_HINTS = {
    "fps": "",
    "num_frames": "",
    "video_length": "",
    "duration": "seconds",
    "model": "",
    "width": "",
    "height": "",
    "seed": "the same seed makes the same video",
    "num_inference_steps": "more take longer",
    "guidance_scale": "how closely it follows the prompt",
    "flow_shift": "shift of the noise schedule",
    "prefer_backend": "",
    "low_vram": "slower, in less GPU memory",
    "lawful_use_consent": "I will use the video lawfully",
}

_LARGEST_SAID = 10_000  # a longer range tells nobody anything, and has no slider
_LONG_TEXT = 200  # characters: it gets several lines
_USED = ("type", "minimum", "maximum", "minLength", "contentMediaType", "examples")


def fields(schema: Mapping[str, Any], without: frozenset[str] = frozenset()) -> list[dict[str, Any]]:
    """Of the schema, but those of `without`. Each has its `name`, its `label` and `hint`, what its value may be in JSON
    Schema's words, whether it is `required`, its `default`, and `isMore` if it may be folded away. A choice has
    `options`, of which the empty one says nothing. One that is an object has `fields` of its own."""
    return list(_fields(schema, schema.get("$defs", {}), without))


def _fields(
    schema: Mapping[str, Any], definitions: Mapping[str, Any], without: frozenset[str]
) -> Iterator[dict[str, Any]]:
    for name, declared in schema["properties"].items():
        if name in without:
            continue
        spec = next((one for one in declared.get("anyOf", ()) if one.get("type") != "null"), declared)
        if "$ref" in spec:
            spec = definitions[spec["$ref"].rpartition("/")[2]]
        label = _LABELS.get(name, name.replace("_", " ").capitalize())
        field = {key: value for key, value in (spec | declared).items() if key in _USED} | {
            "name": name,
            "label": label,
            "hint": _hint(label, _HINTS.get(name, declared["description"]), spec),
            "required": name in schema.get("required", ()),
            "default": declared.get("default"),
        }
        field["isMore"] = not field["required"] and name not in _SHOWN_FIRST
        match spec:
            case {"type": "object"}:
                field["fields"] = list(_fields(spec, definitions, frozenset()))
            case {"enum": values}:
                field |= _choice(values, field["default"])
            case {"type": "string"}:
                field["isLong"] = spec.get("maxLength", 0) > _LONG_TEXT
            case {"type": "integer" | "number" as kind}:
                field["step"] = spec.get("multipleOf", 1 if kind == "integer" else 0.1)
                field["hasSlider"] = field["default"] is not None and _has_known_range(spec)
        yield field


def _choice(values: Sequence[str], default: str | None) -> dict[str, Any]:
    options = [value for value in values if value]
    standard = next((value for value in options if value.lower() == (default or "auto").lower()), "")
    return {"options": options if standard else ["", *options], "default": standard}


def _has_known_range(spec: Mapping[str, Any]) -> bool:
    return "minimum" in spec and spec.get("maximum", math.inf) <= _LARGEST_SAID


def _hint(label: str, description: str, spec: Mapping[str, Any]) -> str:
    clauses = re.sub(r" ?\([^)]*\)|`", "", description).split("; ")
    about = "; ".join(clause for clause in clauses if "null" not in clause)
    said = [] if about in ("", label) else [about]
    if _has_known_range(spec):
        said.append(f"{spec['minimum']:g} to {spec['maximum']:g}")
    hint = ", ".join(said)
    return hint[:1].upper() + hint[1:]
