"""Networks come whole from their files, or not at all."""

from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5EncoderModel

from videoworker.sampling.reader import Reader

INDEX = "diffusion_pytorch_model.safetensors.index.json"
GONE = "encoder.block.1.layer.0.SelfAttention.q.weight"


@pytest.fixture
def reader(tmp_path: Path) -> Reader:
    config = T5Config(vocab_size=16, d_model=8, d_kv=4, d_ff=16, num_layers=2, num_heads=2)
    T5EncoderModel(config).save_pretrained(tmp_path / "text_encoder")
    return Reader(tmp_path, torch.device("cpu"), {"text_encoder": torch.float32})


def test_whole_encoder(reader: Reader) -> None:
    """Tensors that are tied to others stand once in the file."""
    assert reader.encoder(T5EncoderModel, "text_encoder").config.num_layers == 2


def test_encoder_without_a_tensor(reader: Reader) -> None:
    file = reader.folder / "text_encoder" / "model.safetensors"
    tensors = load_file(file)
    del tensors[GONE]
    save_file(tensors, file, {"format": "pt"})
    with pytest.raises(RuntimeError, match=f"text_encoder lacks 1 tensors: {GONE}"):
        reader.encoder(T5EncoderModel, "text_encoder")


@pytest.fixture
def transformer(tmp_path: Path) -> WanTransformer3DModel:
    """A network, saved in pieces: its norms and its embedding of the timestep stay in float32."""
    network = WanTransformer3DModel(
        num_attention_heads=1,
        attention_head_dim=12,
        in_channels=4,
        out_channels=4,
        text_dim=8,
        freq_dim=8,
        ffn_dim=16,
        num_layers=1,
    )
    network.save_pretrained(tmp_path / "transformer", max_shard_size="5KB")
    assert (tmp_path / "transformer" / INDEX).is_file()
    return network


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_network_in_pieces(transformer: WanTransformer3DModel, tmp_path: Path, dtype: torch.dtype) -> None:
    read = Reader(tmp_path, torch.device("cpu"), {"transformer": dtype}).network(WanTransformer3DModel, "transformer")
    saved, found = transformer.state_dict(), read.state_dict()
    assert found.keys() == saved.keys()
    for name, value in found.items():
        kept = {"time_embedder", "scale_shift_table", "norm2"}.intersection(name.split("."))
        assert value.dtype is (torch.float32 if kept else dtype), name
        assert torch.equal(value, saved[name].to(value.dtype)), name
    assert not read.training and not any(value.is_meta for value in read.buffers())
    assert torch.get_default_dtype() is torch.float32


def test_network_without_a_tensor(transformer: WanTransformer3DModel, tmp_path: Path) -> None:
    (tmp_path / "transformer" / INDEX).unlink()
    tensors = {name: tensor for name, tensor in transformer.state_dict().items() if name != "proj_out.bias"}
    save_file(tensors, tmp_path / "transformer" / "diffusion_pytorch_model.safetensors")
    read = Reader(tmp_path, torch.device("cpu"), {"transformer": torch.float32}).network
    with pytest.raises(RuntimeError, match=r"transformer lacks 1 tensors: proj_out\.bias"):
        read(WanTransformer3DModel, "transformer")
