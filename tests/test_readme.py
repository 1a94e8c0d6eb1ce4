"""Every command of README.md is run."""

import itertools
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.handler_process import ROOT, output_of, run_job
from videoworker.apis import APIS
from videoworker.delivery import bucket_address
from videoworker.settings import Settings

README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line.strip()
]
SERVE = ".venv/bin/videoworker serve"
(CALL,) = [command for command in COMMANDS if command.startswith("curl")]
FAULTS = ".venv/bin/python -m bench.faults --jobs 20"
# tests/image builds the Dockerfile from this folder, and tests/builder reads docker-bake.hcl, both without docker.
BUILD, BAKE = "docker build --tag worker-video .", "docker buildx bake mochi"
# `make test` is what runs this test, in CI too.
RUN_ELSEWHERE = ["make test", SERVE, CALL, BUILD, BAKE]
# What the README says of a command that must fail.
WRONG_REQUEST = '"fsp"'
# What commands write that is part of the repository.
WRITTEN = [ROOT / name for name in ("README.md", "NOTICE", ".runpod/hub.json", ".runpod/tests.json")]
JSON = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", README, re.DOTALL)]
EXAMPLES = [(job["input"], answer) for job, answer in itertools.pairwise(JSON) if "input" in job]
# What the commands of `videoworker` print, by their names.
SHOWN = dict(zip(("models", "estimate"), re.findall(r"```text\n(.*?)```", README, re.DOTALL), strict=True))
STORES = re.findall(r"^\| (.*?) \| `(https://.*?)` \| (.*?) \|$", README, re.MULTILINE)


def run(command: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OUTPUT_DIR": str(tmp_path)}
    return subprocess.run(
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200, check=False
    )


def test_the_two_commands_of_a_newcomer_come_first():
    assert COMMANDS[:2] == ["make run", "make test"]
    assert "make test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(command, marks=pytest.mark.needs_swift if command == FAULTS else ())
        for command in COMMANDS
        if command not in RUN_ELSEWHERE and WRONG_REQUEST not in command
    ],
)
def test_a_command_of_the_readme_does_what_it_says(command, tmp_path):
    written = [path.read_bytes() for path in WRITTEN]
    process = run(command, tmp_path)
    assert process.returncode == 0, process.stdout + process.stderr
    assert [path.read_bytes() for path in WRITTEN] == written, "a table or file was out of date"
    if command.startswith(".venv/bin/videoworker"):
        assert process.stdout.replace(str(ROOT), "/path/to/worker-video") == SHOWN[command.split()[1]]
    if "handler.py" in command or command == "make run":
        files = list(tmp_path.rglob("video.mp4"))
        assert len(files) == 1
        assert re.search(r"video\.mp4  256x256, 25 frames, .* made in ", process.stdout)


def test_the_wrong_request_of_the_readme_gets_the_answer_shown_there(tmp_path):
    (command,) = [c for c in COMMANDS if WRONG_REQUEST in c]
    process = run(command, tmp_path)
    assert process.returncode == 1
    assert "Traceback" not in process.stdout + process.stderr
    for shown in re.findall(r'"allowed": "(.*?)"', README):
        assert shown in process.stdout.replace("\\", "")
    assert not list(tmp_path.rglob("video.mp4"))


@pytest.mark.parametrize(("job_input", "shown"), EXAMPLES, ids=[job_input["api"] for job_input, _ in EXAMPLES])
def test_an_example_of_the_readme_is_answered_in_the_form_shown(job_input, shown, tmp_path):
    answer = output_of(run_job(tmp_path, job_input, MODEL="sketch").stdout)
    if job_input["api"] == "native":
        assert {name: type(value) for name, value in shown["video"].items()} == {
            name: type(value) for name, value in answer["video"].items()
        }
        assert shown["video"]["notes"] == answer["video"]["notes"]
        assert shown["timings"].keys() == answer["timings"].keys()
    everywhere = {name: answer.pop(name) for name in ("video", "timings")}
    assert everywhere["video"]["model"] == "sketch"
    assert {name: type(value) for name, value in shown.items() if name not in everywhere} == {
        name: type(value) for name, value in answer.items()
    }


def test_each_api_has_an_example():
    assert {job_input["api"] for job_input, _ in EXAMPLES} == set(APIS)


@pytest.mark.parametrize(("store", "url", "region"), STORES)
def test_the_stores_of_the_readme_are_reached_as_it_says(store, url, region):
    settings = Settings(
        bucket_endpoint_url=url.replace("<account id>", "0123"),
        bucket_access_key_id="key",
        bucket_secret_access_key="secret",
        bucket_name="videos",
        bucket_region=region.strip("`") if region.startswith("`") else None,
    )
    address = bucket_address.from_settings(settings)
    signed_for = {"Amazon S3": "eu-central-1", "Cloudflare R2": "auto", "Backblaze B2": "eu-central-003"}
    assert (address.endpoint_url, address.region) == (settings.bucket_endpoint_url, signed_for[store])


def test_there_are_three_stores_and_a_target_of_the_name_that_is_baked():
    assert len(STORES) == 3
    assert {BUILD, BAKE} < set(COMMANDS)
    assert f'target "{BAKE.split()[-1]}"' in (ROOT / "docker-bake.hcl").read_text()


@pytest.mark.needs_curl
def test_the_endpoint_of_the_readme_answers_its_call_with_a_video(tmp_path):
    environment = {**os.environ, "OUTPUT_DIR": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/jobs.db"}
    assert SERVE in COMMANDS
    with subprocess.Popen(shlex.split(SERVE), cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert "serving http://127.0.0.1:8000/v2/local" in serving.stdout.readline()
            call = run(CALL, tmp_path)
        finally:
            serving.terminate()
    assert call.returncode == 0, call.stderr
    answer = json.loads(call.stdout)
    assert answer["status"] == "COMPLETED"
    assert answer["output"]["video"]["num_frames"] == 25
    assert serving.returncode == 0
