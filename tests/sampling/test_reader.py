"""Networks come whole from their files, or not at all."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import T5Config, T5EncoderModel

from videoworker.sampling.reader import Reader

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
