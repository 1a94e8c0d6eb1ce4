"""What is said of a checkpoint that is not whole, or is another's."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import T5EncoderModel

from builder.tiny import open_sora
from videoworker.errors import Code, JobError
from videoworker.models.open_sora import OPEN_SORA
from videoworker.models.sketch import SKETCH
from videoworker.weights.verify import verify

COMPONENTS = ["text_encoder", "transformer", "vae"]
WHOLE = "vae/diffusion_pytorch_model.safetensors"
INDEX = "text_encoder/model.safetensors.index.json"


@pytest.fixture
def folder(image_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the small checkpoint that a test may break; its text encoder lies in several files."""
    folder = Path(shutil.copytree(image_checkpoint, tmp_path / SKETCH.checkpoint.folder))
    encoder = T5EncoderModel.from_pretrained(folder / "text_encoder")
    shutil.rmtree(folder / "text_encoder")
    encoder.save_pretrained(folder / "text_encoder", max_shard_size="5KB")
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(JobError) as caught:
        verify(SKETCH.checkpoint, folder)
    assert caught.value.code is Code.MODEL_NOT_LOADED
    message = caught.value.message
    assert message.startswith("The weights of sketch are not whole: ")
    assert message.endswith(f". To fetch them again: {SKETCH.checkpoint.how_to_fetch}")
    assert str(folder) not in message and "Error" not in message
    return message


def rewrite(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def shards(folder: Path) -> list[str]:
    names = sorted(set(json.loads((folder / INDEX).read_text())["weight_map"].values()))
    assert len(names) > 1
    return [f"text_encoder/{name}" for name in names]


def test_a_whole_checkpoint_passes(folder: Path) -> None:
    verify(SKETCH.checkpoint, folder)


@pytest.mark.parametrize("component", COMPONENTS)
def test_a_component_without_its_file_is_named(folder: Path, component: str) -> None:
    for file in (folder / component).glob("*.safetensors*"):
        file.unlink()
    assert f"not whole: no safetensors file in {component}." in refused(folder)


def test_every_missing_component_is_named_at_once(folder: Path) -> None:
    for component in COMPONENTS:
        shutil.rmtree(folder / component)
    assert "no safetensors file in text_encoder, transformer, vae" in refused(folder)


def test_a_component_without_weights_must_be_there_too(folder: Path) -> None:
    rewrite(folder / "model_index.json", tokenizer_2=["transformers", "CLIPTokenizer"])
    assert "no file in tokenizer_2" in refused(folder)
    shutil.copytree(folder / "tokenizer", folder / "tokenizer_2")
    verify(SKETCH.checkpoint, folder)


def test_what_an_index_leaves_out_or_says_besides_components_is_no_folder(folder: Path) -> None:
    rewrite(folder / "model_index.json", image_encoder=[None, None], force_zeros_for_empty_prompt=True)
    verify(SKETCH.checkpoint, folder)


def test_a_shard_that_the_index_names_is_missed(folder: Path) -> None:
    (folder / shards(folder)[1]).unlink()
    assert f"{shards(folder)[1]} is missing" in refused(folder)


@pytest.mark.parametrize("cut", [1, 500], ids=["by a byte", "in the middle"])
def test_a_file_that_is_cut_short_is_named_with_its_bytes(folder: Path, cut: int) -> None:
    whole = (folder / WHOLE).read_bytes()
    (folder / WHOLE).write_bytes(whole[:-cut])
    assert f"{WHOLE} is cut short or no safetensors file ({len(whole) - cut} bytes: " in refused(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x02}q\x00.",
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 98\n",
        b"<html>" * 99,
    ],
    ids=["nothing", "a pickle", "a pointer of Git LFS", "a web page"],
)
def test_a_file_of_another_format_is_named(folder: Path, content: bytes) -> None:
    (folder / shards(folder)[0]).write_bytes(content)
    message = refused(folder)
    assert f"{shards(folder)[0]} is cut short or no safetensors file ({len(content)} bytes: " in message
    assert message.count("text_encoder/") == 1  # not also for what the index says is in it


def test_a_file_with_more_than_its_header_says_is_refused(folder: Path) -> None:
    with (folder / WHOLE).open("ab") as file:
        file.write(b"x")
    assert WHOLE in refused(folder)


def test_a_shard_of_another_checkpoint_is_named_with_the_tensor_that_it_lacks(folder: Path) -> None:
    shard = shards(folder)[0]
    (lost, tensor), *others = sorted(load_file(folder / shard).items())
    save_file({"something.else": tensor.clone(), **dict(others)}, folder / shard)
    said = f"{shard} is of another checkpoint: it lacks {lost}, which model.safetensors.index.json says it has"
    assert said in refused(folder)


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    (folder / WHOLE).write_bytes(b"")
    shutil.rmtree(folder / "transformer")
    (folder / shards(folder)[0]).unlink()
    assert all(part in refused(folder) for part in (WHOLE, "no safetensors file in transformer", shards(folder)[0]))


def test_another_models_checkpoint_is_refused_by_its_class(folder: Path) -> None:
    rewrite(folder / "model_index.json", _class_name="StableDiffusionPipeline")
    assert "model_index.json is of StableDiffusionPipeline, not CogVideoXPipeline." in refused(folder)


@pytest.mark.parametrize("content", ["", "[]", "{", '"CogVideoXPipeline"'])
def test_a_model_index_that_cannot_be_read_is_refused(folder: Path, content: str) -> None:
    (folder / "model_index.json").write_text(content)
    assert "model_index.json is not a JSON object" in refused(folder)


def test_an_index_that_names_no_files_is_refused(folder: Path) -> None:
    (folder / INDEX).write_text("{}")
    assert f"{INDEX} has no weight_map" in refused(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pth", "model.ckpt"])
def test_a_pickle_is_refused_with_the_command_that_converts_it(folder: Path, name: str) -> None:
    for file in (folder / "vae").glob("*.safetensors"):
        file.unlink()
    torch.save({"a": torch.ones(1)}, folder / "vae" / name)
    message = refused(folder)
    assert f"vae/{name} is refused, only safetensors is read; " in message
    assert f"videoworker convert vae/{name}." in message


def test_a_pickle_beside_safetensors_is_no_matter(folder: Path) -> None:
    (folder / "vae" / "pytorch_model.bin").write_bytes(b"never read")
    verify(SKETCH.checkpoint, folder)


@pytest.fixture
def single_files(tmp_path: Path) -> Path:
    """A checkpoint without a model index, two of whose networks are files."""
    folder = tmp_path / "open-sora"
    open_sora.save(folder, "open-sora")
    return folder


def test_a_checkpoint_of_single_files_passes(single_files: Path) -> None:
    verify(OPEN_SORA.checkpoint, single_files)


@pytest.mark.parametrize(
    ("place", "content", "said"),
    [
        ("hunyuan_vae.safetensors", None, "hunyuan_vae.safetensors is missing"),
        ("hunyuan_vae.safetensors", b"cut", "hunyuan_vae.safetensors is cut short or no safetensors file (3 bytes: "),
        ("google/t5-v1_1-xxl/model.safetensors", None, "no safetensors file in google/t5-v1_1-xxl"),
        ("openai/clip-vit-large-patch14/model.safetensors", b"", "openai/clip-vit-large-patch14/model.safetensors is"),
    ],
    ids=["no file", "a file cut short", "an encoder without weights", "an encoder cut short"],
)
def test_what_a_checkpoint_of_single_files_lacks(
    single_files: Path, place: str, content: bytes | None, said: str
) -> None:
    (single_files / place).unlink()
    if content is not None:
        (single_files / place).write_bytes(content)
    with pytest.raises(JobError) as caught:
        verify(OPEN_SORA.checkpoint, single_files)
    assert caught.value.message.startswith(f"The weights of open-sora are not whole: {said}")


def test_a_pickle_in_a_folder_within_a_folder_is_refused_with_the_command_that_converts_it(single_files: Path) -> None:
    folder = single_files / "google" / "t5-v1_1-xxl"
    (folder / "model.safetensors").unlink()
    torch.save({"a": torch.ones(1)}, folder / "pytorch_model.bin")
    with pytest.raises(JobError, match=r"videoworker convert google/t5-v1_1-xxl/pytorch_model\.bin"):
        verify(OPEN_SORA.checkpoint, single_files)
