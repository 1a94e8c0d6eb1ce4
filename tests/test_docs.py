"""What README.md, CONTRIBUTING.md and docs/ print is true: each command is run, each example is answered as shown.

Commands run in a copy of the repository, so that none writes into the work tree. Requests go to one endpoint, whose
worker has a small checkpoint of random numbers in place of `sketch`; only `make run` uses the weights that ship.
"""

import importlib.util
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from builder.declared import SHIPPED_CHECKPOINTS
from builder.tiny import cogvideox
from tests.handler_process import PATIENCE, ROOT, environment
from videoworker.apis import APIS
from videoworker.delivery import bucket_address
from videoworker.settings import Settings
from videoworker.weights.revision import revision

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]

SERVE = ".venv/bin/videoworker serve"
# What stands for the endpoint's address in the documents.
ADDRESSES = ("http://127.0.0.1:8000/v2/local", "https://api.runpod.ai/v2/$ENDPOINT_ID", "http://127.0.0.1:8000/v2")

# Commands that other tests run: the file that does it, and the words in it by which it does.
ELSEWHERE = {
    "make test": (".ci/run", "exec make test"),
    "make lint": ("Makefile", "lint run-tests"),
    "make lock": ("tests/builder/test_requirements.py", '"builder" / "lock"'),
    "docker build --platform linux/amd64 --tag worker-video .": ("tests/image/conftest.py", "buildah.build(ROOT"),
    "docker build --platform linux/amd64 --build-arg MODEL=cogvideox --build-arg MODEL_VARIANT=5b,5b-i2v "
    "--build-arg SOUND_MODEL=foley --build-arg SOUND_MODEL_VARIANT=xl --build-arg ACCEPT_TENCENT_LICENSE=true "
    "--tag worker-video-with-sound .": ("tests/builder/test_fetch.py", '"foley", "xl", *options'),
    "docker buildx bake sketch": ("tests/builder/test_image_files.py", "docker-bake.hcl"),
    ".venv/bin/videoworker fetch hunyuanvideo-1.5": ("tests/commands/test_fetch.py", '"fetch"'),
    ".venv/bin/videoworker fetch hunyuanvideo-1.5 --variant 720p-i2v": ("tests/commands/test_fetch.py", '"--variant"'),
    ".venv/bin/videoworker fetch hunyuanvideo-1.5 --variant 1080p-sr": ("tests/commands/test_fetch.py", '"1080p-sr"'),
    ".venv/bin/videoworker convert pytorch_model.bin": ("tests/commands/test_convert.py", '"convert"'),
    ".venv/bin/videoworker convert foley published": (
        "tests/commands/test_convert.py",
        '"convert", "foley", "published"',
    ),
    ".venv/bin/python -m bench.decode --family mochi --width 64 --height 64 --frames 37": (
        "tests/bench/test_decode.py",
        '"bench.decode"',
    ),
    ".venv/bin/python -m bench.activations --family mochi": (
        "tests/bench/test_activations.py",
        '["--family", "mochi"]',
    ),
    ".venv/bin/python -m bench.abuse --megabytes 50 --sockets 100 --no-bodies --seconds 1": (
        "tests/bench/test_abuse.py",
        '"--megabytes 50 --sockets 100 --no-bodies --seconds 1"',
    ),
    ".venv/bin/videoworker serve --api hunyuanvideo": ("tests/gateway/test_commands.py", '"--api", "hunyuanvideo"'),
    ".venv/bin/videoworker gateway --api hunyuanvideo": (
        "tests/bench/test_gateway_faults.py",
        '"bench.gateway_faults"',
    ),
    "curl -sf http://127.0.0.1:10000/api/generate "
    """--json '{"prompt": "a star", "width": 256, "height": 256, "video_length": 25}'""": (
        "tests/gateway/test_commands.py",
        """'{"prompt": "a star", "width": 256, "height": 256, "video_length": 25}'""",
    ),
    "ENDPOINT_URL=http://127.0.0.1:8000/v2/local .venv/bin/videoworker gateway --api hunyuanvideo": (
        "tests/gateway/test_commands.py",
        '"gateway", "--api", "hunyuanvideo", ENDPOINT_URL=endpoint.url',
    ),
    "docker build --platform linux/amd64 --target gateway --tag worker-video-gateway .": (
        "tests/image/conftest.py",
        '"--target=gateway"',
    ),
    "docker run --detach --restart unless-stopped --publish 8000:8000 --volume gateway:/data "
    "--env ENDPOINT_URL=https://api.runpod.ai/v2/$ENDPOINT_ID --env ENDPOINT_API_KEY=$RUNPOD_API_KEY "
    "worker-video-gateway": ("tests/image/test_gateway_image.py", '"ENDPOINT_URL": endpoint.url'),
    ".venv/bin/python -m bench.gateway --requests 10 --loads 1 --jobs 10 --seconds 3": (
        "tests/bench/test_gateway.py",
        '"--requests 10 --loads 1 --jobs 10 --seconds 3"',
    ),
    ".venv/bin/python -m bench.gateway_abuse --megabytes 25 --clients 24 --slow 0": (
        "tests/bench/test_gateway_abuse.py",
        '"--megabytes 25 --clients 24 --slow 0"',
    ),
    ".venv/bin/python -m bench.faults": ("tests/bench/test_faults.py", '"bench.faults"'),
    ".venv/bin/python -m bench.gateway_faults": ("tests/bench/test_gateway_faults.py", '"bench.gateway_faults"'),
}

# In an answer, what differs from one run to the next.
VARIES = {
    *("created_at", "delayTime", "elapsed_time", "estimated_time", "executionTime", "file_size", "file_url", "id"),
    *("job_id", "model_revision", "seed", "sha256", "task_id", "updated_at", "url", "video_url", "workerId"),
    *("encode_prompt", "denoise", "decode", "encode", "deliver", "total"),
}


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """A line each; a line that ends in a backslash goes on."""
        return [line.strip() for line in self.text.replace("\\\n", " ").splitlines() if line.strip()]


def blocks(document: Path) -> list[Block]:
    found = re.findall(r"^ *```(\w*)\n(.*?)^ *```$", document.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [Block(*one) for one in found]


BLOCKS = [block for document in DOCUMENTS for block in blocks(document)]
COMMANDS = [command for block in BLOCKS if block.language == "sh" for command in block.commands]
(HANDLER,) = [command for command in COMMANDS if "handler.py" in command]
CALLS = [command for command in COMMANDS if command.startswith("curl ") and command not in ELSEWHERE]
RUN_HERE = [command for command in COMMANDS if command not in (SERVE, HANDLER, *CALLS, *ELSEWHERE)]
PROGRAMS = [block.text for block in BLOCKS if block.language == "python"]

PAIRS = list(itertools.pairwise(BLOCKS))
# What a command prints stands right below it, and so does the answer to a request.
PRINTED = {
    before.commands[-1]: after.text for before, after in PAIRS if (before.language, after.language) == ("sh", "text")
}
CALL_ANSWERS = {
    before.commands[-1]: json.loads(after.text)
    for before, after in PAIRS
    if (before.language, after.language) == ("sh", "json")
}
EXAMPLES = [
    (json.loads(before.text)["input"], json.loads(after.text))
    for before, after in PAIRS
    if before.language == after.language == "json" and "input" in json.loads(before.text)
]


def short(command: str) -> str:
    return re.sub(r"[^\w. -]", "", command.removeprefix(".venv/bin/"))[:40].strip()


def words_of(job_input: dict[str, Any]) -> str:
    return f"{job_input.get('api', 'native')} {job_input.get('prompt', '')}".strip()


def left_out(folder: str, names: list[str]) -> set[str]:
    """Of the repository's own folder what git ignores, and weights that were fetched."""
    if Path(folder) != ROOT:
        return {"__pycache__"}
    made = {"build", "outputs", "weights", *(name for name in names if name.startswith("jobs.db"))}
    return made | {name for name in names if name.startswith(".") and name != ".runpod"}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository with the virtual environment of this process, which counts as installed."""
    folder = tmp_path_factory.mktemp("documents") / "worker-video"
    shutil.copytree(ROOT, folder, ignore=left_out)
    (folder / "weights").mkdir()
    for shipped in SHIPPED_CHECKPOINTS:
        (folder / "weights" / shipped.folder).symlink_to(ROOT / "weights" / shipped.folder)
    (folder / ".venv").mkdir()
    for entry in Path(sys.prefix).iterdir():
        (folder / ".venv" / entry.name).symlink_to(entry)
    for mark in ("installed", "installed-for-tests"):
        (folder / ".venv" / mark).unlink(missing_ok=True)
        (folder / ".venv" / mark).touch()
    return folder


@pytest.fixture(scope="module")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of weights with a small checkpoint for `sketch`."""
    folder = tmp_path_factory.mktemp("weights")
    cogvideox.save(folder / "sketch", "sketch")
    return folder


@pytest.fixture(scope="module")
def endpoint(checkout: Path, small_weights: Path) -> Iterator[str]:
    """The URL of what the documents' command serves, on a port that is free."""
    variables = environment_in(checkout, WEIGHTS_DIR=str(small_weights), MODEL="sketch", OMP_NUM_THREADS="1")
    command = [*shlex.split(SERVE), "--port", "0"]
    with subprocess.Popen(command, cwd=checkout, env=variables, stdout=subprocess.PIPE, text=True) as serving:
        try:
            assert serving.stdout is not None
            (url,) = re.findall(r"serving (\S+)", serving.stdout.readline())
            yield url
        finally:
            serving.terminate()
    assert serving.returncode == 0


def environment_in(checkout: Path, **variables: str) -> dict[str, str]:
    """Imports come from the copy, and so does what is found beside the code."""
    return environment(PYTHONPATH=f"{checkout / 'src'}{os.pathsep}{checkout}", **variables)


def run(command: str | list[str], checkout: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        shell=isinstance(command, str),
        cwd=checkout,
        env=environment_in(checkout, **variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


def generated(folder: Path) -> dict[str, bytes]:
    """The files that commands of the documents write."""
    names = ["NOTICE", ".runpod/hub.json", ".runpod/tests.json", *(f"docs/{path.name}" for path in DOCUMENTS[2:])]
    return {name: (folder / name).read_bytes() for name in names}


def assert_alike(shown: Any, real: Any, name: str = "") -> None:
    """The same names and types; the same values, but those that vary. `notes` has at least those that are shown: a
    checkpoint of random numbers also says that it reads short prompts only."""
    assert type(shown) is type(real), name
    if isinstance(shown, dict):
        assert shown.keys() == real.keys(), name
        for key in shown:
            assert_alike(shown[key], real[key], key)
    elif name == "notes":
        assert set(shown) <= set(real)
    elif name not in VARIES:
        assert shown == real, name


def test_the_newcomers_commands_come_first() -> None:
    assert COMMANDS[:2] == ["make run", "make test"]


def test_each_command_is_run_once() -> None:
    """Here, or by the test that is named for it."""
    assert len(set(COMMANDS)) == len(COMMANDS)
    assert {SERVE, *ELSEWHERE} <= set(COMMANDS)
    for file, words in ELSEWHERE.values():
        assert words in (ROOT / file).read_text("utf-8"), file


@pytest.mark.parametrize("command", RUN_HERE, ids=short)
def test_command(command: str, checkout: Path, small_weights: Path) -> None:
    is_shipped = command == "make run" or "videoworker" in command
    small = {"WEIGHTS_DIR": str(small_weights), "OMP_NUM_THREADS": "1"}
    process = run(command, checkout, **({} if is_shipped else small))
    assert process.returncode == 0, process.stdout + process.stderr
    assert process.stdout == PRINTED.get(command, process.stdout)
    assert generated(checkout) == generated(ROOT), "a generated file was out of date"
    if command == "make run":
        made = re.search(r"^(\S+\.mp4)  256x256, 25 frames, .* made in ", process.stdout, re.MULTILINE)
        assert made and (checkout / made[1]).stat().st_size > 0


@pytest.mark.needs_curl
@pytest.mark.parametrize("command", CALLS, ids=short)
def test_call(command: str, checkout: Path, endpoint: str) -> None:
    (address,) = [address for address in ADDRESSES[:2] if address in command]
    process = run(command.replace(address, endpoint), checkout, RUNPOD_API_KEY="a-key")
    assert process.returncode == 0, process.stderr
    answer = json.loads(process.stdout)
    assert answer["status"] == "COMPLETED"
    if command in CALL_ANSWERS:
        assert_alike(CALL_ANSWERS[command], answer)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda _: "python")
def test_program(program: str, checkout: Path, endpoint: str) -> None:
    assert ADDRESSES[2] in program
    here = program.replace(ADDRESSES[2], endpoint.rpartition("/")[0])
    process = run([sys.executable, "-c", here], checkout)
    assert process.returncode == 0, process.stderr
    assert requests.get(process.stdout.strip(), timeout=PATIENCE).headers["Content-Type"] == "video/mp4"


@pytest.mark.parametrize(("job_input", "shown"), EXAMPLES, ids=[words_of(job_input) for job_input, _ in EXAMPLES])
def test_example(job_input: dict[str, Any], shown: dict[str, Any], endpoint: str) -> None:
    posted = {"input": job_input}
    state = requests.post(f"{endpoint}/runsync?wait=300000", json=posted, timeout=PATIENCE).json()
    if "error" in state:
        assert_alike(shown, json.loads(state["error"]))
        return
    answer = state["output"]
    assert answer["video"]["model"] == "sketch"
    left_out = {"video", "timings"} - shown.keys()
    answer = {name: value for name, value in answer.items() if name not in left_out}
    if job_input["api"] == "hunyuanvideo-foley":
        assert type(answer.pop("duration")) is type(shown.pop("duration"))  # seconds that the job took
    assert_alike(shown, answer)


def test_job_on_the_command_line(endpoint: str) -> None:
    """`tests/test_end_to_end.py` runs this command with a job for each API; here is the job that README.md gives it."""
    *command, job = shlex.split(HANDLER)
    assert command == [".venv/bin/python", "handler.py", "--test_input"]
    state = requests.post(f"{endpoint}/runsync?wait=300000", data=job, timeout=PATIENCE).json()
    assert state["output"]["video"]["num_frames"] == json.loads(job)["input"]["num_frames"]


def test_shown_answers_are_of_the_shipped_weights() -> None:
    """Of others, the shown sizes and hashes are others too."""
    shown = re.findall(r'"model": "sketch", "model_revision": "(\w+)"', "".join(block.text for block in BLOCKS))
    assert len(shown) == 2
    assert set(shown) == {revision(ROOT / "weights" / "sketch")}


def test_each_api_has_an_example() -> None:
    assert {job_input["api"] for job_input, _ in EXAMPLES if "api" in job_input} == set(APIS)


STORES = re.findall(r"^\| (.*?) \| `(https://.*?)` \| (.*?) \|$", (ROOT / "docs/delivery.md").read_text(), re.MULTILINE)
SIGNED_FOR = {"Amazon S3": "eu-central-1", "Cloudflare R2": "auto", "Backblaze B2": "eu-central-003"}


@pytest.mark.parametrize(("store", "url", "region"), STORES)
def test_store(store: str, url: str, region: str) -> None:
    """The bucket of each store in the table is reached and signed for as the store wants it."""
    settings = Settings.model_validate(
        {
            "bucket_endpoint_url": url.replace("<account id>", "0123"),
            "bucket_access_key_id": "key",
            "bucket_secret_access_key": "secret",
            "bucket_name": "videos",
            "bucket_region": region.strip("`") if region.startswith("`") else None,
        }
    )
    address = bucket_address.from_settings(settings)
    assert (address.endpoint_url, address.region) == (settings.bucket_endpoint_url, SIGNED_FOR[store])


def test_all_stores_are_in_the_table() -> None:
    assert {store for store, _, _ in STORES} == set(SIGNED_FOR)


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"], ids=lambda path: path.name
)
def test_links_lead_somewhere(document: Path) -> None:
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", document.read_text("utf-8")):
        target = document.parent / path if path else document
        assert target.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text("utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_modules_named_in_text_exist() -> None:
    names = {name for path in DOCUMENTS for name in re.findall(r"python -m ([\w.]+)", path.read_text("utf-8"))}
    assert names and all(importlib.util.find_spec(name) for name in names), names
