"""Writes `.runpod/hub.json` and `.runpod/tests.json`: how RunPod's Hub shows the worker, what a user can set, and the
jobs that it must do before it is listed.

python -m builder.hub
"""

import json
from pathlib import Path
from textwrap import shorten
from typing import Annotated, Any

import typer

from builder.declared import SHIPPED
from builder.presets import PRESETS
from videoworker.apis import APIS
from videoworker.settings import Settings

FOLDER = Path(__file__).parent.parent / ".runpod"

# RunPod takes the hosts of exactly these. torch 2.13.0 on PyPI is built for CUDA 13.0 (it needs cuda-toolkit==13.0.3),
# and every later driver of CUDA 13 runs it.
_CUDA_VERSIONS = ["13.0", "13.1", "13.2", "13.3"]

# RunPod tries three at most, in this order: the cheapest first, and then one in which all weights of every preset lie.
# It costs less than an H100, and its hosts have new drivers. Every preset fits into each without rounding its weights.
_GPU_POOLS = ("AMPERE_48", "ADA_48_PRO", "BLACKWELL_96")

# A card of data centres: hosts with RTX 4090 and a driver for CUDA 13 are few (runpod-workers/worker-vllm#331 changed
# its test's card too).
_TEST_GPU = "NVIDIA L4"

# What is shown at once, in this order; the rest is shown on demand.
_PLAIN = (
    "model",
    "api",
    "allow_download",
    "accept_tencent_license",
    "job_timeout_seconds",
    "delivery",
    "bucket_endpoint_url",
    "bucket_access_key_id",
    "bucket_secret_access_key",
    "bucket_name",
    "bucket_region",
)

# What the image or the platform sets, and what has no use there.
_LEFT_OUT = {
    "weights_dir",
    "network_volume",
    "output_dir",
    "allow_private_urls",
    "public_base_url",
    "metrics_port",
    "metrics_host",
    "runpod_gpu_count",
    "runpod_pod_id",
    "runpod_skip_gpu_check",
    "runpod_webhook_post_output",
}

# The database behind the Hub refuses longer texts.
_LONGEST_TEXT = 189

# Texts in the settings, since what they may be is another room's to know.
_NAMES = {"model": [preset.model.name for preset in PRESETS], "api": list(APIS)}

# What others read: huggingface_hub, and the platform, which gives a start 7 minutes unless told otherwise.
_OTHERS: list[dict[str, Any]] = [
    {
        "key": "HF_TOKEN",
        "input": {
            "name": "Hugging Face token",
            "type": "string",
            "description": "for downloads from the hub under your own account; empty: without one",
            "advanced": True,
        },
    },
    {"key": "RUNPOD_INIT_TIMEOUT", "value": "1800"},
]

_SPELT = {word: word.upper() for word in ("api", "c2pa", "id", "s3", "ttl", "url")} | {"tencent": "Tencent"}

# Small jobs of the small model that the image has: a few seconds each on two cores. The time also covers a busy
# machine.
_MODEL = SHIPPED[0]
_TIMEOUT_MILLISECONDS = 300_000
_PROMPT = "a red circle moving right on a blue background"
_YELLOW_PICTURE = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAIAAACQkWg2AAAAGElEQVR42mP8f4eBJMDEwDCqYVTDcNUAAOBUAfv37w+pAAAAAElFTkSuQmCC"
)
_SMALL = {
    "prompt": _PROMPT,
    "width": _MODEL.min_side,
    "height": _MODEL.min_side,
    "num_frames": 9,
    "num_inference_steps": 2,
    "seed": 42,
}
_TESTS = {
    "text_to_video": _SMALL,
    "image_to_video_webm": _SMALL | {"image": _YELLOW_PICTURE, "container": "webm"},
    "hunyuanvideo": {
        "api": "hunyuanvideo",
        "prompt": _PROMPT,
        "width": 256,
        "height": 256,
        "video_length": 13,
        "num_inference_steps": 10,
    },
    "cogvideox": {"api": "cogvideox", "prompt": _PROMPT, "num_frames": 8, "num_inference_steps": 2},
}


def documents() -> dict[str, dict[str, Any]]:
    """What each file holds, by its name."""
    return {"hub.json": _hub(), "tests.json": _tests()}


def main(folder: Annotated[Path, typer.Argument(help="where the two files go")] = FOLDER) -> None:
    """Brings .runpod/hub.json and .runpod/tests.json up to date."""
    folder.mkdir(exist_ok=True)
    for name, document in documents().items():
        (folder / name).write_text(json.dumps(document, indent=2) + "\n", "utf-8")


def _hub() -> dict[str, Any]:
    return {
        "title": "Open video models",
        "description": shorten(
            f"Text or an image in, a video out, in {len(APIS)} request formats, with progress and cancellation: "
            + ", ".join(_NAMES["model"]),
            _LONGEST_TEXT,
            placeholder=" and more",
        ),
        "type": "serverless",
        "category": "video",
        "config": {
            "runsOn": "GPU",
            "containerDiskInGb": max(preset.disk_gb for preset in PRESETS),
            "gpuCount": 1,
            "gpuIds": ",".join(_GPU_POOLS),
            "allowedCudaVersions": _CUDA_VERSIONS,
            "presets": [{"name": preset.name, "defaults": preset.defaults} for preset in PRESETS],
            "env": [*_inputs(), *_OTHERS],
        },
    }


def _tests() -> dict[str, Any]:
    return {
        "tests": [{"name": name, "input": job, "timeout": _TIMEOUT_MILLISECONDS} for name, job in _TESTS.items()],
        "config": {
            "gpuTypeId": _TEST_GPU,
            "gpuCount": 1,
            "env": [{"key": "MODEL", "value": _MODEL.name}],
            "allowedCudaVersions": _CUDA_VERSIONS,
        },
    }


def _inputs() -> list[dict[str, Any]]:
    """The settings as the Hub's form, in its order."""
    schemas = Settings.model_json_schema()["properties"]
    names = [*_PLAIN, *(name for name in schemas if name not in _PLAIN and name not in _LEFT_OUT)]
    return [{"key": name.upper(), "input": _input(name, schemas[name])} for name in names]


def _input(name: str, declared: dict[str, Any]) -> dict[str, Any]:
    """One setting, from its JSON schema. Where it is empty by default it has none here, and stays unset."""
    spec = next((choice for choice in declared.get("anyOf", ()) if choice["type"] != "null"), declared)
    form: dict[str, Any] = {
        "name": _title(name),
        "type": "number" if spec["type"] == "integer" else spec["type"],
        "description": declared["description"],
        "advanced": name not in _PLAIN,
    }
    if options := _NAMES.get(name) or spec.get("enum"):
        form["options"] = [{"label": value.replace("_", " "), "value": value} for value in options]
    if spec["type"] == "boolean":
        form |= {"trueValue": "true", "falseValue": "false"}
    form |= _range(spec)
    return form if declared["default"] is None else form | {"default": declared["default"]}


def _title(name: str) -> str:
    words = [_SPELT.get(word, word) for word in name.split("_")]
    return " ".join([words[0][0].upper() + words[0][1:], *words[1:]])


def _range(spec: dict[str, Any]) -> dict[str, int]:
    """Both ends in whole numbers, since the form knows no open ones."""
    ends = {}
    for end, inclusive, exclusive, inwards in (
        ("min", "minimum", "exclusiveMinimum", 1),
        ("max", "maximum", "exclusiveMaximum", -1),
    ):
        if inclusive in spec:
            ends[end] = int(spec[inclusive])
        elif exclusive in spec:
            ends[end] = int(spec[exclusive]) + inwards
    return ends


if __name__ == "__main__":
    typer.run(main)
