"""The start of the process, where it must not begin to serve. (Where it does: the end-to-end tests.)"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from videoworker.settings import Settings

HANDLER = Path(__file__).resolve().parents[2] / "handler.py"


def started(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the entry point in an empty folder, with nothing configured but `environment`."""
    clean = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    source = str(HANDLER.parent / "src")
    return subprocess.run(
        [sys.executable, str(HANDLER), "--test_input", '{"input": {"prompt": "a red circle"}}'],
        cwd=folder,
        env=clean | {"PYTHONPATH": source} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"JOB_TIMEOUT_SECONDS": "soon"}, ["JOB_TIMEOUT_SECONDS"]),
        ({"API": "hunyuanvidio"}, ["API", "hunyuanvidio", "did you mean hunyuanvideo?"]),
        ({"RUNPOD_LOG_LEVEL": "loud"}, ["RUNPOD_LOG_LEVEL"]),
        ({"MODEL": "sketchy"}, ["sketchy"]),
        ({"MODEL": "mochi", "WEIGHTS_DIR": "."}, ["The weights of mochi"]),
        ({"API": "local", "WEIGHTS_DIR": "."}, ["No model is installed"]),
        (
            {"RUNPOD_GPU_COUNT": "1", "CUDA_VISIBLE_DEVICES": "", "MODEL": "mochi", "ALLOW_DOWNLOAD": "true"},
            ["RunPod has given a GPU that torch cannot use", "the driver is ", "torch is built for "],
        ),
        ({"C2PA_CERTIFICATE": "-----BEGIN", "C2PA_PRIVATE_KEY": "-----BEGIN"}, ["C2PA_CERTIFICATE: not a chain"]),
    ],
    ids=[
        "wrong variable",
        "unknown API",
        "wrong level of the log",
        "unknown model",
        "absent model",
        "no model at all",
        "GPU that cannot be used, before anything is fetched",
        "wrong certificate",
    ],
)
def test_a_worker_that_cannot_serve_says_why_in_one_line_and_ends(
    tmp_path: Path, environment: dict[str, str], told: list[str]
) -> None:
    process = started(tmp_path, **environment)
    assert process.returncode == 1
    assert process.stdout == ""
    (line,) = process.stderr.splitlines()
    assert all(line.count(word) == 1 for word in told)


def test_half_a_bucket_is_told_before_anything_is_loaded_and_without_its_secret(tmp_path: Path) -> None:
    half = {"BUCKET_ENDPOINT_URL": "https://s3.example.org", "BUCKET_SECRET_ACCESS_KEY": "hush-hush"}
    process = started(tmp_path, **half, WEIGHTS_DIR=".")
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == "The bucket is only half set: BUCKET_ACCESS_KEY_ID must be set too."
    assert "hush-hush" not in process.stdout + process.stderr
