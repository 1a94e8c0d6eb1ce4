"""Torch's pickles become safetensors that the libraries load with the same numbers, and nothing in them is run."""

import json
import os
import pickle
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLCogVideoX
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import T5EncoderModel

from builder.tiny import t5
from videoworker.errors import JobError
from videoworker.weights.convert import convert


class Trap:
    """A pickle of it makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


def refused(file: Path) -> str:
    with pytest.raises(JobError) as caught:
        convert(file)
    assert list(file.parent.glob("*.safetensors")) == []
    return caught.value.message


def test_a_text_encoder_with_tied_tensors_is_loaded_with_the_same_numbers(tmp_path: Path) -> None:
    encoder = t5.text_encoder()
    state = encoder.state_dict()
    assert len({tensor.data_ptr() for tensor in state.values()}) < len(state)  # some share memory
    encoder.config.save_pretrained(tmp_path)
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert convert(tmp_path / "pytorch_model.bin") == [tmp_path / "model.safetensors"]
    with safe_open(tmp_path / "model.safetensors", "pt") as written:
        left_out = set(state) - set(written.keys())
        assert left_out and left_out <= set(written.metadata())  # and the file says what stands for them
    (tmp_path / "pytorch_model.bin").unlink()
    loaded = T5EncoderModel.from_pretrained(tmp_path, use_safetensors=True).state_dict()
    assert set(loaded) == set(state)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_parts_of_one_tensor_are_written_as_tensors_of_their_own(tmp_path: Path) -> None:
    whole = torch.arange(24.0).reshape(4, 6)
    torch.save({"top": whole[:2], "bottom": whole[2:], "across": whole.T}, tmp_path / "model.pth")
    (written,) = convert(tmp_path / "model.pth")
    tensors = load_file(written)
    assert torch.equal(tensors["top"], whole[:2]) and torch.equal(tensors["bottom"], whole[2:])
    assert torch.equal(tensors["across"], whole.T)


@pytest.mark.parametrize("zipped", [True, False], ids=["as today", "as before torch 1.6"])
def test_both_of_torchs_formats_and_a_state_dict_inside_are_read(tmp_path: Path, zipped: bool) -> None:
    state = {"a": torch.ones(2, dtype=torch.bfloat16), "b": torch.arange(3)}
    torch.save({"state_dict": state}, tmp_path / "model.ckpt", _use_new_zipfile_serialization=zipped)
    tensors = load_file(convert(tmp_path / "model.ckpt")[0])
    assert all(
        torch.equal(tensors[name], tensor) and tensors[name].dtype == tensor.dtype for name, tensor in state.items()
    )


def test_several_files_are_converted_by_their_index(image_checkpoint: Path, tmp_path: Path) -> None:
    vae = Path(shutil.copytree(image_checkpoint / "vae", tmp_path / "vae"))
    state = load_file(vae / "diffusion_pytorch_model.safetensors")
    (vae / "diffusion_pytorch_model.safetensors").unlink()
    names = sorted(state)
    shards = {f"diffusion_pytorch_model-0000{n}-of-00002.bin": names[n - 1 :: 2] for n in (1, 2)}
    for file, part in shards.items():
        torch.save({name: state[name] for name in part}, vae / file)
    weight_map = {name: file for file, part in shards.items() for name in part}
    index = vae / "diffusion_pytorch_model.bin.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    written = convert(index)
    assert [file.name for file in written] == [
        "diffusion_pytorch_model-00001-of-00002.safetensors",
        "diffusion_pytorch_model-00002-of-00002.safetensors",
        "diffusion_pytorch_model.safetensors.index.json",
    ]
    loaded = AutoencoderKLCogVideoX.from_pretrained(vae, use_safetensors=True).state_dict()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in state.items())


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1), "b": Trap(tmp_path / "made")}, tmp_path / "model.bin")
    assert "is refused: it is no whole torch file of tensors alone (UnpicklingError)." in refused(
        tmp_path / "model.bin"
    )
    assert not (tmp_path / "made").exists()
    torch.load(tmp_path / "model.bin", weights_only=False)  # the trap works where nobody guards against it
    assert (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"nothing of the kind", pickle.dumps({"a": 1}, protocol=2)[:-3]],
    ids=["empty", "text", "cut short"],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.bin").write_bytes(content)
    assert "is refused" in refused(tmp_path / "model.bin")


@pytest.mark.parametrize("state", [[torch.ones(1)], {"a": torch.ones(1), "epoch": 3}, 5])
def test_what_is_not_tensors_by_name_is_refused(tmp_path: Path, state: object) -> None:
    torch.save(state, tmp_path / "model.pt")
    assert refused(tmp_path / "model.pt").endswith("is refused: it holds other things than tensors by name.")


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "model.bin")
    (written,) = convert(tmp_path / "model.bin")
    torch.save({"a": torch.zeros(1)}, tmp_path / "model.bin")
    with pytest.raises(JobError, match="is there already"):
        convert(tmp_path / "model.bin")
    assert load_file(written)["a"] == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path / "model.bin").endswith("model.bin is not a file.")
