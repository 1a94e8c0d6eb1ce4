"""The start of the process, where it must not begin to serve. (Where it does: the end-to-end tests.)"""

import subprocess
from pathlib import Path

import pytest

from tests.forks import Forks
from tests.handler_process import run_job

JOB = {"prompt": "a red circle"}


def refused_in_one_line(process: subprocess.CompletedProcess[str], told: list[str]) -> None:
    assert process.returncode == 1
    assert process.stdout == ""
    (line,) = process.stderr.splitlines()
    assert all(line.count(word) == 1 for word in told)


@pytest.mark.parametrize(
    ("environment", "told"),
    [({"JOB_TIMEOUT_SECONDS": "soon"}, ["JOB_TIMEOUT_SECONDS"]), ({"RUNPOD_LOG_LEVEL": "loud"}, ["RUNPOD_LOG_LEVEL"])],
    ids=["the worker's", "the SDK's"],
)
def test_wrong_setting(tmp_path: Path, environment: dict[str, str], told: list[str]) -> None:
    refused_in_one_line(run_job(tmp_path, JOB, **environment), told)


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"API": "hunyuanvidio"}, ["API", "hunyuanvidio", "did you mean hunyuanvideo?"]),
        ({"MODEL": "sketchy"}, ["sketchy"]),
        ({"MODEL": "sketch", "EFFORT": "turbo"}, ["EFFORT: one of: exact, full, fast, with sketch (given: turbo)"]),
        ({"MODEL": "mochi", "WEIGHTS_DIR": "."}, ["The weights of mochi"]),
        ({"API": "local", "WEIGHTS_DIR": "."}, ["No video model is installed"]),
        (
            {"RUNPOD_GPU_COUNT": "1", "CUDA_VISIBLE_DEVICES": "", "MODEL": "mochi", "ALLOW_DOWNLOAD": "true"},
            ["RunPod has given a GPU that torch cannot use", "the driver is ", "torch is built for "],
        ),
        ({"C2PA_CERTIFICATE": "-----BEGIN", "C2PA_PRIVATE_KEY": "-----BEGIN"}, ["C2PA_CERTIFICATE: not a chain"]),
    ],
    ids=[
        "unknown API",
        "unknown model",
        "tier that the model lacks",
        "absent model",
        "no model at all",
        "GPU that cannot be used, before anything is fetched",
        "wrong certificate",
    ],
)
def test_a_worker_that_cannot_serve_says_why_in_one_line_and_ends(
    tmp_path: Path, forks: Forks, environment: dict[str, str], told: list[str]
) -> None:
    refused_in_one_line(forks.run_job(tmp_path, JOB, **environment), told)


def test_half_a_bucket_is_told_before_anything_is_loaded_and_without_its_secret(tmp_path: Path, forks: Forks) -> None:
    half = {"BUCKET_ENDPOINT_URL": "https://s3.example.org", "BUCKET_SECRET_ACCESS_KEY": "hush-hush"}
    process = forks.run_job(tmp_path, JOB, **half, WEIGHTS_DIR=".")
    assert process.returncode == 1
    assert process.stderr.splitlines()[-1] == "The bucket is only half set: BUCKET_ACCESS_KEY_ID must be set too."
    assert "hush-hush" not in process.stdout + process.stderr
