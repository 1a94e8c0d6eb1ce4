"""Every command of README.md is run."""

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line.strip()
]
SERVE = ".venv/bin/videoworker serve"
(CALL,) = [command for command in COMMANDS if command.startswith("curl")]
# `make test` is what runs this test, in CI too.
RUN_ELSEWHERE = ["make test", SERVE, CALL]
# What the README says of a command that must fail.
WRONG_REQUEST = '"fsp"'


def run(command: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OUTPUT_DIR": str(tmp_path)}
    return subprocess.run(
        command, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200, check=False
    )


def test_the_two_commands_of_a_newcomer_come_first():
    assert COMMANDS[:2] == ["make run", "make test"]
    assert "make test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.parametrize("command", [c for c in COMMANDS if c not in RUN_ELSEWHERE and WRONG_REQUEST not in c])
def test_a_command_of_the_readme_does_what_it_says(command, tmp_path):
    process = run(command, tmp_path)
    assert process.returncode == 0, process.stderr
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
