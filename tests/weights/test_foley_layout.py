"""HunyuanVideo-Foley's published files become a checkpoint that loads, once and safely, or they are refused."""

import json
import os
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from builder.tiny import foley as tiny
from videoworker.errors import JobError
from videoworker.families.foley.family import load
from videoworker.models.foley import FOLEY_XL, FOLEY_XXL
from videoworker.models.sound_model import Part
from videoworker.sampling.reader import Reader
from videoworker.weights.published import convert_published
from videoworker.weights.verify import verify

CHECKPOINT = FOLEY_XXL.checkpoint
OWN = CHECKPOINT.origins[0]
TRANSFORMER, SYNCHFORMER, CODEC = OWN.files


class Trap:
    """A pickle of it makes a folder when it is loaded."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    tiny.publish(folder, "xxl")
    return folder


@pytest.fixture
def published(saved: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(saved, tmp_path / "published"))


def stored(folder: Path, name: str) -> dict[str, torch.Tensor]:
    (file,) = (folder / name).glob("*.safetensors")
    return load_file(file)


def refused(published: Path, to: Path) -> str:
    with pytest.raises(JobError) as caught:
        convert_published(CHECKPOINT, published, to)
    assert list(to.iterdir()) == []
    return caught.value.message


@pytest.mark.parametrize("variant", tiny.VARIANTS)
def test_every_part_loads(variant: str, tmp_path: Path) -> None:
    tiny.publish(tmp_path / "published", variant)
    checkpoint = tiny.checkpoint_of(variant)
    folder, unexpected = convert_published(checkpoint, tmp_path / "published", tmp_path / "weights")
    assert folder == tmp_path / "weights" / checkpoint.folder
    verify(checkpoint, folder)
    loaded = {
        part: load(Reader(folder, torch.device("cpu"), defaultdict(lambda: torch.float32)), part) for part in Part
    }
    assert loaded[Part.TRANSFORMER].transformer.config.num_triple_blocks == (2 if variant == "xxl" else 1)  # type: ignore[union-attr]
    assert unexpected == ({"hunyuanvideo_foley_xl.pth": ["repa_projector.weight"]} if variant == "xl" else {})


def test_dtypes_and_what_is_left_out(published: Path, tmp_path: Path) -> None:
    folder, _ = convert_published(CHECKPOINT, published, tmp_path / "weights")
    for component in CHECKPOINT.components:
        tensors = stored(folder, component.name)
        floating = {tensor.dtype for tensor in tensors.values() if tensor.is_floating_point()}
        assert floating == {getattr(torch, component.stored)}, component.name
    assert not any(name.startswith(("encoder", "quant")) for name in stored(folder, "codec"))
    assert not any(
        "feat_extractor" in name or name.startswith("patch_embed.") for name in stored(folder, "synchformer")
    )


def test_the_transformers_numbers_are_as_they_were(published: Path, tmp_path: Path) -> None:
    before = torch.load(published / OWN.folder / TRANSFORMER, weights_only=True)
    folder, _ = convert_published(CHECKPOINT, published, tmp_path / "weights")
    after = stored(folder, "transformer")
    assert set(after) == set(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_tensors_that_are_parts_of_one(published: Path, tmp_path: Path) -> None:
    path = published / OWN.folder / TRANSFORMER
    before = torch.load(path, weights_only=True)
    one = torch.cat([tensor.flatten() for tensor in before.values()])
    parts = one.split([tensor.numel() for tensor in before.values()])
    torch.save({name: part.view_as(before[name]) for name, part in zip(before, parts, strict=True)}, path)
    folder, _ = convert_published(CHECKPOINT, published, tmp_path / "weights")
    after = stored(folder, "transformer")
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize("file", [TRANSFORMER, SYNCHFORMER, CODEC])
@pytest.mark.parametrize("which", [0, -1])
def test_a_missing_tensor_is_named(published: Path, tmp_path: Path, file: str, which: int) -> None:
    path = published / OWN.folder / file
    state: dict[str, Any] = torch.load(path, weights_only=True)
    tensors = state.get("state_dict", state)
    used = sorted(name for name in tensors if name.startswith(("triple", "vfeat_extractor.blocks", "decoder.model.5")))
    del tensors[used[which]]
    torch.save(state, path)
    message = refused(published, tmp_path / "weights")
    assert message == f"{file} is no file of this model: it lacks {used[which].removeprefix('vfeat_extractor.')}."


def test_an_unexpected_tensor_is_told(published: Path, tmp_path: Path) -> None:
    path = published / OWN.folder / SYNCHFORMER
    torch.save(torch.load(path, weights_only=True) | {"vfeat_extractor.more": torch.ones(1)}, path)
    folder, unexpected = convert_published(CHECKPOINT, published, tmp_path / "weights")
    assert unexpected == {SYNCHFORMER: ["more"]}
    assert "more" not in stored(folder, "synchformer")


@pytest.mark.parametrize("file", [TRANSFORMER, SYNCHFORMER, CODEC])
def test_code_in_a_pickle_is_refused_and_not_run(published: Path, tmp_path: Path, file: str) -> None:
    path = published / OWN.folder / file
    torch.save(torch.load(path, weights_only=True) | {"trap": Trap(tmp_path / "made")}, path)
    assert "is refused: it is no whole torch file of tensors alone" in refused(published, tmp_path / "weights")
    assert not (tmp_path / "made").exists()


def test_what_is_no_tensor_is_refused(published: Path, tmp_path: Path) -> None:
    path = published / OWN.folder / TRANSFORMER
    torch.save(torch.load(path, weights_only=True) | {"epoch": 3}, path)
    assert refused(published, tmp_path / "weights").endswith("it holds other things than tensors by name.")


@pytest.mark.parametrize(
    "path", [f"{OWN.folder}/{CODEC}", "larger_clap_general/tokenizer.json", "siglip2-base-patch16-512/config.json"]
)
def test_a_file_that_is_not_there_is_named(published: Path, tmp_path: Path, path: str) -> None:
    (published / path).unlink()
    assert refused(published, tmp_path / "weights").endswith(f"{path} is not a file.")


def test_what_is_there_is_not_overwritten(published: Path, tmp_path: Path) -> None:
    folder, _ = convert_published(CHECKPOINT, published, tmp_path / "weights")
    with pytest.raises(JobError, match="is there already"):
        convert_published(CHECKPOINT, published, tmp_path / "weights")
    verify(CHECKPOINT, folder)


def test_the_file_says_what_it_is(published: Path, tmp_path: Path) -> None:
    folder, _ = convert_published(CHECKPOINT, published, tmp_path / "weights")
    index = json.loads((folder / "model_index.json").read_text())
    assert index.pop("_class_name") == CHECKPOINT.pipeline
    assert set(index) == {"tokenizer", *(component.name for component in CHECKPOINT.components)}
    with safe_open(next((folder / "text_encoder").glob("*.safetensors")), "pt") as opened:
        assert opened.metadata() == {"format": "pt"}


def test_variants_differ_in_their_transformer_alone() -> None:
    large, small = FOLEY_XXL.checkpoint, FOLEY_XL.checkpoint
    assert [one.name for one in large.components] == [one.name for one in small.components]
    assert large.origins[1:] == small.origins[1:] and large.origins[0].files[1:] == small.origins[0].files[1:]
