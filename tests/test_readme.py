"""Every command of README.md is run."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines() if line.strip()
]
# `make test` is what runs this test, in CI too.
RUN_ELSEWHERE = ["make test"]
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
