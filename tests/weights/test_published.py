"""The published repositories' files in small: found in a cache as they are, fetched, counted, and loaded."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLMochi, MochiTransformer3DModel
from safetensors.torch import load_file
from transformers import T5EncoderModel

from builder import published
from builder.published_names import paths
from tests.commands.hub import hub_at, serving
from tests.engine import making
from tests.variants import ALL_VARIANTS
from tests.watches import watch_that
from videoworker.engine.device import Device
from videoworker.engine.engine import Engine
from videoworker.errors import JobError
from videoworker.models.cogvideox import COGVIDEOX
from videoworker.models.mochi import MOCHI
from videoworker.models.video_model import VideoModel
from videoworker.planning.plan import plan_clip
from videoworker.request import VideoRequest
from videoworker.weights import manifest, places
from videoworker.weights.fetch import fetch
from videoworker.weights.files import weight_files
from videoworker.weights.verify import verify

PUBLISHED = [model for model in ALL_VARIANTS if model.checkpoint.repository]
# Of the variants of a family whose files are alike, one alone.
FORMS = {
    (model.family, tuple((one.name, one.published) for one in model.checkpoint.components)): model
    for model in reversed(PUBLISHED)
}
KNOWN = list(reversed(FORMS.values()))
EVERY = [pytest.param(model, id=model.checkpoint.folder) for model in KNOWN]

# Of the forms with the same pipeline and dtypes, one alone. A large clip that cannot be smaller is left out.
CLIPS = {
    (model.checkpoint.pipeline, tuple((one.name, one.dtype) for one in model.checkpoint.components)): model
    for model in reversed(KNOWN)
    if not model.fixed_size
}

# The SHA-256 of `model_index.json`, the version of diffusers that wrote it, and how it calls what our small checkpoint
# has of another kind.
INDEXES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "mochi": ("db470a8c28b77125d74cb955f277c20b9f629e01b177dd352d7ec396ccad3d85", "0.32.0.dev0", {}),
    "hunyuanvideo-1.5": (
        "e6573b14a5b008a680f5ff1606003bf8715f82adaf89674917950939578403bb",
        "0.36.0.dev0",
        {"tokenizer": ["transformers", "Qwen2TokenizerFast"]},
    ),
}


@pytest.fixture(scope="module")
def snapshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of weights, with the whole of each repository."""
    folder = tmp_path_factory.mktemp("snapshots")
    for model in KNOWN:
        published.save(model, folder / model.checkpoint.folder)
    return folder


@pytest.mark.parametrize("name", INDEXES)
def test_index(snapshots: Path, name: str) -> None:
    """The small checkpoint's index has the keys of the published one, and no others: byte for byte, it is that."""
    digest, version, otherwise = INDEXES[name]
    index = json.loads((snapshots / name / "model_index.json").read_text())
    written = json.dumps(index | {"_diffusers_version": version} | otherwise, indent=2) + "\n"
    assert hashlib.sha256(written.encode()).hexdigest() == digest


def test_wans_index(snapshots: Path) -> None:
    """Of one transformer, it names a second one as nothing. docs/published-files.md has the source."""
    index = json.loads((snapshots / "wan" / "model_index.json").read_text())
    networks = {"scheduler", "text_encoder", "tokenizer", "transformer", "transformer_2", "vae"}
    assert set(index) == {"_class_name", "_diffusers_version", "boundary_ratio", "expand_timesteps"} | networks
    assert (index["boundary_ratio"], index["expand_timesteps"], index["transformer_2"]) == (None, True, [None, None])


@pytest.mark.parametrize("model", EVERY)
def test_files(snapshots: Path, model: VideoModel) -> None:
    """They are called as the published ones, and are of their dtypes."""
    folder = snapshots / model.checkpoint.folder
    expected = {
        path: files.dtype
        for component in model.checkpoint.components
        for files in component.published
        for path in paths(component, files)
    }
    assert {file.relative_to(folder).as_posix() for file in folder.rglob("*.safetensors*")} == set(expected)
    for path in expected:
        if path.endswith(".safetensors"):
            (dtype,) = {tensor.dtype for tensor in load_file(folder / path).values() if tensor.is_floating_point()}
            assert dtype == getattr(torch, expected[path])


def on_gpu() -> Device:
    """A device that says what it would do on a GPU."""
    device = Device()
    device.device = torch.device("cuda")
    return device


def engine_of(model: VideoModel, weights_dir: Path) -> Engine:
    engine = Engine(making.settings_for(weights_dir))
    engine.load(model, watch_that())
    return engine


@lru_cache
def networks_of(model: VideoModel, weights_dir: Path) -> dict[str, torch.nn.Module]:
    """By their names, as the engine loads them in the dtypes of a GPU."""
    with pytest.MonkeyPatch.context() as patch:
        dtypes = on_gpu().dtypes
        patch.setattr(Device, "dtypes", lambda _, checkpoint: dtypes(checkpoint))
        loaded = engine_of(model, weights_dir)._device.loaded
    assert loaded is not None
    named = {field.name: getattr(loaded.networks, field.name) for field in fields(loaded.networks)}
    return {name: one for name, one in named.items() if isinstance(one, torch.nn.Module)}


def check_dtypes(model: VideoModel, networks: dict[str, torch.nn.Module]) -> None:
    assert set(networks) == {component.name for component in model.checkpoint.components}
    for component in model.checkpoint.components:
        for name, parameter in networks[component.name].named_parameters():
            expected = "float32" if component.keeps_float32(name) else component.dtype
            assert parameter.dtype == getattr(torch, expected), f"{component.name}: {name}"


def clip(engine: Engine, model: VideoModel) -> Any:
    side = 2 * model.grid
    asked: dict[str, Any] = {"width": side, "height": side, "num_frames": model.min_frames, "num_inference_steps": 2}
    request = VideoRequest(api="native", prompt="a red circle", **asked)
    plan = plan_clip(request, replace(model, min_side=side))  # smaller than real networks make anything of
    grey = np.full((side, side, 3), 128, np.uint8)
    seen = replace(making.CLIP, first_frame=grey if model.needs_image else None)
    return np.stack(list(making.frames(engine, plan, seen))).astype(int)


@pytest.mark.parametrize("model", EVERY)
def test_dtypes(snapshots: Path, model: VideoModel) -> None:
    """Each network is loaded in the dtype that its authors run it in."""
    networks = networks_of(model, snapshots)
    check_dtypes(model, networks)


@pytest.mark.parametrize("model", [pytest.param(model, id=model.checkpoint.folder) for model in CLIPS.values()])
def test_rounding_alone(snapshots: Path, model: VideoModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the dtypes of a GPU the clip is the one in float32, within rounding: what goes from one network to another is
    cast."""
    made = []
    for dtypes in (defaultdict(lambda: torch.float32), on_gpu().dtypes(model.checkpoint)):
        monkeypatch.setattr(Device, "dtypes", lambda *_, dtypes=dtypes: dtypes)
        made.append(clip(engine_of(model, snapshots), model))
    exact, rounded = made
    assert exact.std() > 1
    assert 0 < np.abs(rounded - exact).mean() < 16  # of 255


@pytest.mark.parametrize("model", EVERY)
def test_memory(snapshots: Path, model: VideoModel) -> None:
    """What a placement is chosen by is what the loaded networks have, also where one lies there in two dtypes."""
    networks = networks_of(model, snapshots)
    tensors = {
        tensor.data_ptr(): tensor.nbytes
        for network in networks.values()
        for tensor in network.state_dict().values()
        if tensor.is_floating_point()
    }
    counted = on_gpu().weight_bytes(model.checkpoint, snapshots / model.checkpoint.folder)
    assert counted.total == pytest.approx(sum(tensors.values()), rel=1e-3)  # two biases of Open-Sora become one


def test_a_processor_never_computes_in_float16() -> None:
    for model in KNOWN:
        dtypes = Device().dtypes(model.checkpoint)
        assert torch.float16 not in dtypes.values()
        assert len({dtypes[one.name] for one in model.checkpoint.components if one.dtype != "float32"}) == 1


@pytest.mark.parametrize("variants", [("bf16", "bf16", None), ("bf16", "fp16", "bf16"), (None, "bf16", "fp16")])
def test_marked_files_alone(snapshots: Path, tmp_path: Path, variants: tuple[str | None, ...]) -> None:
    """As a cache is that was filled with `variant="bf16"`: diffusers and transformers wrote the names."""
    kinds = {"transformer": MochiTransformer3DModel, "vae": AutoencoderKLMochi, "text_encoder": T5EncoderModel}
    folder, source = tmp_path / "mochi", snapshots / "mochi"
    published.save(MOCHI, folder)
    for (name, kind), variant in zip(kinds.items(), variants, strict=True):
        for file in (folder / name).glob("*.safetensors*"):
            file.unlink()
        network = kind.from_pretrained(source / name)
        network.save_pretrained(folder / name, variant=variant, max_shard_size="20KB")
    verify(MOCHI.checkpoint, folder)
    networks = networks_of(MOCHI, tmp_path)
    check_dtypes(MOCHI, networks)
    for name, variant in zip(kinds, variants, strict=True):
        component = next(one for one in MOCHI.checkpoint.components if one.name == name)
        files = weight_files(folder, component)
        assert files and files.variant == variant and files.is_there and files.index
    assert places.size(MOCHI.checkpoint, folder) == sum(file.stat().st_size for file in folder.rglob("*.safetensors"))


def test_the_size_is_that_of_the_files_that_are_loaded(snapshots: Path) -> None:
    """Mochi's snapshot has its transformer and its autoencoder twice."""
    folder = snapshots / "mochi"
    marked = {file.stat().st_size for file in folder.rglob("*.bf16*.safetensors")}
    whole = sum(file.stat().st_size for file in folder.rglob("*.safetensors"))
    assert len(marked) > 1
    assert places.size(MOCHI.checkpoint, folder) < whole - max(marked)


def test_a_part_that_is_missing_from_the_plain_files(snapshots: Path, tmp_path: Path) -> None:
    """Then the marked ones are loaded if they are whole, and else it is named."""
    published.save(MOCHI, tmp_path / "mochi")
    transformer = tmp_path / "mochi" / "transformer"
    (transformer / "diffusion_pytorch_model-00002-of-00005.safetensors").unlink()
    verify(MOCHI.checkpoint, tmp_path / "mochi")
    (transformer / "diffusion_pytorch_model.bf16-00003-of-00003.safetensors").unlink()
    with pytest.raises(JobError, match=r"transformer/diffusion_pytorch_model-00002-of-00005.safetensors is missing"):
        verify(MOCHI.checkpoint, tmp_path / "mochi")


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.safetensors", "transformer.bf16.safetensors"])
def test_a_name_that_is_not_loaded(snapshots: Path, tmp_path: Path, name: str) -> None:
    published.save(MOCHI, tmp_path / "mochi")
    transformer = tmp_path / "mochi" / "transformer"
    for file in transformer.glob("*.safetensors*"):
        file.unlink()
    (transformer / name).write_bytes(b"")
    with pytest.raises(JobError, match=r"no diffusion_pytorch_model.safetensors in transformer, and no index"):
        verify(MOCHI.checkpoint, tmp_path / "mochi")


@pytest.fixture(scope="module")
def fetched(snapshots: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of weights, each fetched from a hub that has the repositories. Nothing came but what is declared."""
    folder = tmp_path_factory.mktemp("fetched")
    with (
        serving({model.checkpoint.repository: snapshots / model.checkpoint.folder for model in KNOWN}) as hub,
        pytest.MonkeyPatch.context() as patch,
    ):
        for constant, value in hub_at(hub.url).items():
            patch.setattr(huggingface_hub.constants, constant, value)
        for model in KNOWN:
            hub.sent.clear()
            fetch(model.checkpoint, folder, is_accepted=True)
            came = {file for file, _ in hub.sent if ".safetensors" in file}
            assert came == {
                path for component in model.checkpoint.components for path in paths(component, component.fetched)
            }
        yield folder


@pytest.mark.parametrize("model", EVERY)
def test_fetched_files(fetched: Path, snapshots: Path, model: VideoModel) -> None:
    """They are in the dtype that is declared as stored, in plain names, and load as the snapshot does."""
    folder = fetched / model.checkpoint.folder
    for component in model.checkpoint.components:
        files = weight_files(folder, component)
        assert files and files.variant is None
        place = folder / component.place
        assert set(files.files) == ({place} if component.is_file else set(place.glob("*.safetensors")))
        for name, tensor in ((name, one) for file in files.files for name, one in load_file(file).items()):
            kept = component.keeps_float32(name) and component.fetched.dtype == "float32"
            assert tensor.dtype == getattr(torch, "float32" if kept else component.stored), name
    networks = networks_of(model, fetched)
    check_dtypes(model, networks)
    others = networks_of(model, snapshots)
    for name, network in networks.items():
        expected = others[name].state_dict()
        assert all(torch.equal(one, expected[at]) for at, one in network.state_dict().items())


@pytest.mark.parametrize("model", EVERY)
def test_fetched_manifest(fetched: Path, model: VideoModel) -> None:
    """It has every file, also those that were cast or renamed."""
    folder = fetched / model.checkpoint.folder
    assert manifest.check(model.checkpoint, folder) == len(manifest.files_in(folder))


@pytest.mark.parametrize("name", ["transformer/diffusion_pytorch_model.safetensors", "vae/config.json"])
def test_a_file_that_comes_damaged(snapshots: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It is named, and comes anew with the next fetch."""
    checkpoint = COGVIDEOX.checkpoint
    with serving({checkpoint.repository: snapshots / checkpoint.folder}) as hub:
        for constant, value in hub_at(hub.url).items():
            monkeypatch.setattr(huggingface_hub.constants, constant, value)
        hub.damaged.add(name)
        with pytest.raises(JobError, match=f"{name} of cogvideox did not come as the hub has it"):
            fetch(checkpoint, tmp_path)
        assert not (tmp_path / checkpoint.folder).exists()
        hub.damaged.clear()
        hub.sent.clear()
        manifest.check(checkpoint, fetch(checkpoint, tmp_path))
        assert [file for file, _ in hub.sent] == [name]
