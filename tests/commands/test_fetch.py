"""`videoworker fetch` in a process of its own, from a hub on this machine."""

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel
from safetensors.torch import load_file
from transformers import T5EncoderModel
from typer.testing import CliRunner

from bench.servers.processes import VIDEOWORKER
from builder.tiny import cogvideox, hunyuanvideo_1_5_sr
from tests.commands.command_line import run
from tests.commands.hub import Hub, serving
from tests.handler_process import environment
from videoworker.cli import app
from videoworker.errors import JobError
from videoworker.models import MODELS
from videoworker.models.cogvideox import COGVIDEOX_5B
from videoworker.models.hunyuanvideo_1_5 import SR_720P, SR_1080P
from videoworker.models.open_sora import OPEN_SORA
from videoworker.weights import fetch

MODEL = COGVIDEOX_5B.checkpoint
PATIENCE = 300.0
LAST = "vae/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As repositories of the hub are: a float32 text encoder in several files with a pickle beside it, one of them more
    than the 10 MiB that huggingface_hub takes at once, a transformer in float32 and again in bfloat16, and files that
    only other programs read."""
    folder = tmp_path_factory.mktemp("repository")
    cogvideox.save(folder, "5b")
    encoder = T5EncoderModel.from_pretrained(folder / "text_encoder")
    encoder.resize_token_embeddings(250_000)
    shutil.rmtree(folder / "text_encoder")
    encoder.save_pretrained(folder / "text_encoder", max_shard_size="1MB")
    torch.save(encoder.state_dict(), folder / "text_encoder" / "pytorch_model.bin")
    transformer = CogVideoXTransformer3DModel.from_pretrained(folder / "transformer", torch_dtype=torch.bfloat16)
    transformer.save_pretrained(folder / "transformer", variant="bf16", max_shard_size="50KB")
    transformer.half().save_pretrained(folder / "transformer", variant="fp16")
    (folder / "original.safetensors").write_bytes(b"not in diffusers layout")
    (folder / "README.md").write_text("# a model")
    (folder / "assets").mkdir()
    (folder / "assets" / "demo.mp4").write_bytes(b"film")
    return folder


@pytest.fixture
def hub(repository: Path) -> Iterator[Hub]:
    with serving({MODEL.repository: repository}) as hub:
        yield hub


def started(hub: str, to: Path) -> subprocess.Popen[str]:
    command = [*VIDEOWORKER, "fetch", "cogvideox", "--variant", "5b", "--to", str(to)]
    settings = environment(HF_ENDPOINT=hub, HF_HUB_DISABLE_TELEMETRY="1")
    return subprocess.Popen(command, env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def fetched(hub: str, to: Path) -> tuple[int, str, str]:
    with started(hub, to) as process:
        printed, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, printed, errors


def files_in(folder: Path) -> list[str]:
    return sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())


def test_exactly_what_is_loaded_comes_in_the_dtype_that_is_loaded_even_over_a_broken_connection(
    hub: Hub, repository: Path, tmp_path: Path
) -> None:
    large = max((repository / "text_encoder").glob("*.safetensors"), key=lambda file: file.stat().st_size)
    shard = f"text_encoder/{large.name}"
    hub.broken[shard] = 11 << 20
    code, printed, errors = fetched(hub.url, tmp_path)
    assert code == 0, errors
    folder = tmp_path / "cogvideox-5b"
    assert printed.splitlines()[0] == "licence: CogVideoX" and MODEL.conditions in printed
    assert f"cogvideox 5b is in {folder}" in printed
    assert "14/14" in errors  # the library's own progress bar

    # the connection that broke was taken up where it broke
    assert [asked for file, asked in hub.sent if file == shard] == [None, f"bytes={10 << 20}-"]

    # nothing else came than what stands in the folder now, under the names without a dtype
    came = {file.replace(".bf16", "") for file, _ in hub.sent}
    assert sorted({*came, "SHA256SUMS"}) == files_in(folder)
    (mode,) = {file.stat().st_mode for file in folder.rglob("*.*") if file.is_file()}  # of those rewritten here too
    assert mode & 0o044 == 0o044
    assert {path.name for path in tmp_path.iterdir()} == {folder.name, f".{folder.name}.lock"}
    assert not came & {"original.safetensors", "README.md", "assets/demo.mp4", "text_encoder/pytorch_model.bin"}
    assert "transformer/diffusion_pytorch_model.safetensors" not in came
    assert {tensor.dtype for file in folder.rglob("*.safetensors") for tensor in load_file(file).values()} == {
        torch.bfloat16
    }

    # both libraries load it, and the numbers are those of the repository, rounded once
    encoder = T5EncoderModel.from_pretrained(folder / "text_encoder", dtype=torch.bfloat16).state_dict()
    wide = T5EncoderModel.from_pretrained(repository / "text_encoder", dtype=torch.float32).state_dict()
    assert all(torch.equal(encoder[name], tensor.bfloat16()) for name, tensor in wide.items())
    transformer = CogVideoXTransformer3DModel.from_pretrained(folder / "transformer", torch_dtype=torch.bfloat16)
    original = CogVideoXTransformer3DModel.from_pretrained(repository / "transformer", torch_dtype=torch.bfloat16)
    assert all(torch.equal(transformer.state_dict()[name], one) for name, one in original.state_dict().items())

    # asked again, it is found whole and nothing comes
    before = len(hub.sent)
    assert fetched(hub.url, tmp_path)[0] == 0
    assert len(hub.sent) == before


def test_mends_what_is_not_whole(hub: Hub, tmp_path: Path) -> None:
    assert fetched(hub.url, tmp_path)[0] == 0
    folder = tmp_path / "cogvideox-5b"
    whole = {file: (folder / file).read_bytes() for file in files_in(folder)}
    (folder / LAST).write_bytes(whole[LAST][:-1])
    (folder / "vae" / "of_another_time.safetensors").write_bytes(b"")
    code, _, errors = fetched(hub.url, tmp_path)
    assert code == 0, errors
    assert {file: (folder / file).read_bytes() for file in files_in(folder)} == whole


def test_pinned_commit_although_main_has_moved(hub: Hub, repository: Path, tmp_path: Path) -> None:
    later = Path(shutil.copytree(repository, tmp_path / "later"))
    (later / "scheduler" / "scheduler_config.json").write_text('{"changed": true}')
    hub.repositories[MODEL.repository] = later
    code, _, errors = fetched(hub.url, tmp_path / "weights")
    assert code == 0, errors
    came = tmp_path / "weights" / "cogvideox-5b" / "scheduler" / "scheduler_config.json"
    assert came.read_text() == (repository / "scheduler" / "scheduler_config.json").read_text()


def test_a_pinned_commit_that_the_hub_does_not_have_is_said_in_one_line(hub: Hub, tmp_path: Path) -> None:
    hub.commits.clear()
    code, _, errors = fetched(hub.url, tmp_path)
    assert code == 1 and hub.sent == []
    assert "Traceback" not in errors
    assert errors.splitlines()[-1] == (
        f"huggingface.co/{MODEL.repository} has no commit {MODEL.revision}, to which cogvideox 5b is pinned."
    )


@pytest.mark.parametrize("gated", [True, False], ids=["gated", "unknown"])
def test_a_repository_that_may_not_be_read_is_said_in_one_line(hub: Hub, tmp_path: Path, gated: bool) -> None:
    if gated:
        hub.gated.add(MODEL.repository)
    else:
        hub.repositories.clear()
    code, _, errors = fetched(hub.url, tmp_path)
    assert code == 1
    assert "Traceback" not in errors
    last = errors.splitlines()[-1]
    if gated:
        assert last == f"Accept the terms of cogvideox 5b at huggingface.co/{MODEL.repository}, and set HF_TOKEN."
    else:
        assert last.startswith("The weights of cogvideox 5b could not be fetched (RepositoryNotFoundError 404).")


def test_hub_that_does_not_answer(tmp_path: Path) -> None:
    """It is said in one line."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and not listened at
        code, _, errors = fetched(f"http://127.0.0.1:{held.getsockname()[1]}", tmp_path)
    assert code == 1
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].endswith("to go on: videoworker fetch cogvideox --variant 5b")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sora"], f"'sora' is not one of {', '.join(MODELS)}"),
        (["cogvideox", "--variant", "9b"], "'9b' is not one of 2b, 5b, 5b-i2v, 1.5-5b, 1.5-5b-i2v"),
        (["mochi", "--variant", "9b"], "'9b' is no variant: mochi has none"),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_there_are(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["fetch", *arguments])
    assert done.exit_code == 2
    assert said in " ".join(line.strip("│ ") for line in done.output.splitlines())


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"a file")
    with pytest.raises(JobError) as caught:
        fetch.fetch(MODEL, tmp_path / "weights")
    assert caught.value.message.startswith("The weights of cogvideox 5b could not be fetched (FileExistsError).")
    assert str(tmp_path) not in caught.value.message


def test_a_folder_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests as root may write everywhere."""

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refused)
    with pytest.raises(JobError) as caught:
        fetch.fetch(MODEL, tmp_path / "weights")
    user = os.geteuid()
    assert caught.value.message.startswith(f"User {user} may not write into the folder for weights.")
    assert f"chown --recursive {user}" in caught.value.message and str(tmp_path) not in caught.value.message


def test_what_the_hub_does_not_have_is_not_asked_for(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"^The hub has no weights of sketch\.$"):
        fetch.fetch(MODELS["sketch"].checkpoint, tmp_path)


def test_a_network_without_safetensors_is_refused_before_anything_large_comes() -> None:
    names = ["model_index.json", "text_encoder/pytorch_model.bin", "text_encoder/config.json"]
    with pytest.raises(JobError) as caught:
        fetch.needed(MODEL, {"text_encoder": ["transformers", "T5EncoderModel"]}, names)
    assert caught.value.message == f"{MODEL.repository} has no safetensors file in text_encoder."


def test_a_network_that_is_a_file_and_absent_is_refused_before_anything_large_comes() -> None:
    with pytest.raises(JobError) as caught:
        fetch.needed(OPEN_SORA.checkpoint, None, ["Open_Sora_v2.safetensors", "README.md"])
    assert caught.value.message == "hpcai-tech/Open-Sora-v2 has no hunyuan_vae.safetensors."


def test_super_resolution(tmp_path: Path) -> None:
    """Its two networks come alone, of a repository that has many. The transformer is cast, the upsampler is not."""
    checkpoint = SR_1080P.checkpoint
    hunyuanvideo_1_5_sr.save(tmp_path / "repository", SR_1080P)
    hunyuanvideo_1_5_sr.save(tmp_path / "repository", SR_720P)
    (tmp_path / "repository" / "README.md").write_text("# many models")
    with serving({checkpoint.repository: tmp_path / "repository"}) as hub:
        command = ["fetch", "hunyuanvideo-1.5", "--variant", "1080p-sr", "--accept-license", "--to", str(tmp_path)]
        ran = run(*command, HF_ENDPOINT=hub.url)
    assert ran.returncode == 0, ran.stderr
    folder = tmp_path / checkpoint.folder
    assert files_in(folder) == [
        "SHA256SUMS",
        *(
            f"{place}/{name}"
            for place in checkpoint.places.values()
            for name in ("config.json", LAST.partition("/")[2])
        ),
    ]
    dtypes = {
        name: {tensor.dtype for tensor in load_file(folder / place / LAST.partition("/")[2]).values()}
        for name, place in checkpoint.places.items()
    }
    assert dtypes == {"sr_transformer": {torch.bfloat16}, "upsampler": {torch.float32}}
