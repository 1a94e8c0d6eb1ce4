"""HunyuanVideo-1.5's super-resolution: its published tensors, and what its transformer is given at each step."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import HunyuanVideo15Transformer3DModel
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from builder.tiny import hunyuanvideo_1_5 as tiny
from builder.tiny import hunyuanvideo_1_5_sr as tiny_sr
from tests.families.running import CPU
from tests.watches import watch_that
from videoworker.families.hunyuanvideo_1_5 import family as hunyuanvideo_1_5
from videoworker.families.hunyuanvideo_1_5.family import Networks
from videoworker.families.hunyuanvideo_1_5.published import as_diffusers, configuration
from videoworker.families.hunyuanvideo_1_5.super_resolution import enlarge
from videoworker.families.hunyuanvideo_1_5.upsampler import Upsampler720p, Upsampler1080p, read_upsampler
from videoworker.models.hunyuanvideo_1_5 import HUNYUANVIDEO_1_5, SR_720P, SR_1080P
from videoworker.models.sampling import Sampling
from videoworker.models.upscaler import Upscaler
from videoworker.sampling.denoise import Inputs, denoise
from videoworker.sampling.reader import Reader

CHANNELS = tiny.LATENT_CHANNELS
SMALL, LARGE = (2, CHANNELS, 4, 3), (2, CHANNELS, 6, 5)  # [T, C, h, w]
SAMPLING = Sampling(SR_1080P.steps, 1.0, flow_shift=SR_1080P.flow_shift)
CLOSE = 1e-5


@pytest.fixture(scope="module", params=[SR_720P, SR_1080P], ids=["720p", "1080p"])
def upscaler(request: pytest.FixtureRequest) -> Upscaler:
    upscaler: Upscaler = request.param
    return upscaler


@pytest.fixture(scope="module")
def folders(upscaler: Upscaler, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("sr")
    tiny.save(root / "base", "720p-t2v")
    tiny_sr.save(root / "sr", upscaler)
    return root / "base", root / "sr"


@pytest.fixture(scope="module")
def networks(upscaler: Upscaler, folders: tuple[Path, Path]) -> Networks:
    base, sr = folders
    joined = HUNYUANVIDEO_1_5.checkpoint.joined(upscaler.checkpoint, sr)
    dtypes = {component.name: torch.float32 for component in joined.components}
    return hunyuanvideo_1_5.load(Reader(base, CPU, dtypes, places=joined.places))


@pytest.mark.parametrize("upscaler", [SR_720P, SR_1080P], ids=["720p", "1080p"])
def test_published_networks(upscaler: Upscaler) -> None:
    """In full size, without numbers: the published tensors are all of the networks' and no others, and have as many
    bytes as is declared."""
    sizes = {component.name: component.size for component in upscaler.checkpoint.components}
    with torch.device("meta"):
        transformer, tensors = tiny_sr.Transformer(), meta(tiny_sr.Transformer().shapes())
        network = HunyuanVideo15Transformer3DModel(**configuration(transformer.configuration(), tensors))
        network.load_state_dict(as_diffusers(tensors), assign=True)
        assert network.config.in_channels == 98
        assert 2 * parameters(network) == sizes["sr_transformer"]
        if upscaler is SR_720P:
            smaller = tiny_sr.Upsampler720p()
            assert len(smaller.shapes()) == 100
            upsampler: nn.Module = Upsampler720p(**Upsampler720p.configuration(smaller.configuration(), {}))
        else:
            upsampler = Upsampler1080p(**Upsampler1080p.configuration(tiny_sr.Upsampler1080p().configuration(), {}))
        assert 4 * parameters(upsampler) == sizes["upsampler"]


def meta(shapes: tiny_sr.Shapes) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_tensors_keep_their_roles(networks: Networks, folders: tuple[Path, Path], upscaler: Upscaler) -> None:
    """Of those that have the same shape, each comes to its own place."""
    place = folders[1] / upscaler.checkpoint.places["sr_transformer"]
    published, ours = load_file(place / "diffusion_pytorch_model.safetensors"), networks.sr_transformer.state_dict()
    for theirs, name in {
        "double_blocks.1.img_attn_q.weight": "transformer_blocks.1.attn.to_q.weight",
        "double_blocks.1.img_attn_proj.bias": "transformer_blocks.1.attn.to_out.0.bias",
        "double_blocks.1.txt_attn_k.weight": "transformer_blocks.1.attn.add_k_proj.weight",
        "double_blocks.1.txt_attn_proj.weight": "transformer_blocks.1.attn.to_add_out.weight",
        "double_blocks.1.img_attn_k_norm.weight": "transformer_blocks.1.attn.norm_k.weight",
        "double_blocks.1.txt_attn_q_norm.weight": "transformer_blocks.1.attn.norm_added_q.weight",
        "double_blocks.1.txt_mod.linear.weight": "transformer_blocks.1.norm1_context.linear.weight",
        "double_blocks.1.txt_mlp.fc2.weight": "transformer_blocks.1.ff_context.net.2.weight",
        "time_r_in.mlp.2.weight": "time_embed.timestep_embedder_r.linear_2.weight",
        "txt_in.c_embedder.linear_2.weight": "context_embedder.time_text_embed.text_embedder.linear_2.weight",
        "vision_in.proj.1.weight": "image_embedder.linear_1.weight",
        "byt5_in.fc2.weight": "context_embedder_2.linear_2.weight",
    }.items():
        assert torch.equal(published[theirs], ours[name]), theirs
    fused = published["txt_in.individual_token_refiner.blocks.0.self_attn_qkv.weight"]
    apart = [ours[f"context_embedder.token_refiner.refiner_blocks.0.attn.to_{part}.weight"] for part in "qkv"]
    assert torch.equal(fused, torch.cat(apart))
    scale, shift = ours["norm_out.linear.weight"].chunk(2)
    assert torch.equal(published["final_layer.adaLN_modulation.1.weight"], torch.cat([shift, scale]))


def test_upsampler(folders: tuple[Path, Path], upscaler: Upscaler) -> None:
    """As the published classes compute it."""
    place = folders[1] / upscaler.checkpoint.places["upsampler"]
    published = load_file(place / "diffusion_pytorch_model.safetensors")
    latents = torch.randn((1, CHANNELS, 3, 4, 5), generator=torch.Generator().manual_seed(1))
    reader = Reader(folders[1], CPU, {"upsampler": torch.float32}, places=upscaler.checkpoint.places)
    computed = {"720p-sr": smaller, "1080p-sr": larger}[upscaler.checkpoint.variant]
    with torch.inference_mode():
        expected = computed(published, json.loads((place / "config.json").read_text()), latents)
        made = read_upsampler(reader, "upsampler")(latents)
    assert (made - expected).abs().max() < CLOSE


def convolved(tensors: dict[str, torch.Tensor], name: str, states: torch.Tensor) -> torch.Tensor:
    """Edges are repeated, in time only those of the past."""
    padded = functional.pad(states, (1, 1, 1, 1, 2, 0), mode="replicate")
    return functional.conv3d(padded, tensors[f"{name}.conv.weight"], tensors[f"{name}.conv.bias"])


def smaller(tensors: dict[str, torch.Tensor], config: dict[str, Any], latents: torch.Tensor) -> torch.Tensor:
    states = convolved(tensors, "in_conv", latents)
    for index in range(config["num_blocks"]):
        changed = convolved(tensors, f"blocks.{index}.block.0", states)
        for layer in (2, 4):
            changed = convolved(tensors, f"blocks.{index}.block.{layer}", functional.silu(changed))
        states = states + changed
    return convolved(tensors, "out_conv", states)


def larger(tensors: dict[str, torch.Tensor], config: dict[str, Any], latents: torch.Tensor) -> torch.Tensor:
    def activated(name: str, states: torch.Tensor) -> torch.Tensor:
        length = states.square().sum(dim=1, keepdim=True).sqrt()
        return functional.silu(states / length * states.shape[1] ** 0.5 * tensors[f"{name}.gamma"])

    repeats = config["block_out_channels"][0] // CHANNELS
    states = convolved(tensors, "conv_in", latents) + latents.repeat_interleave(repeats, dim=1)
    for level in range(len(config["block_out_channels"])):
        for name in (f"up.{level}.block.{index}" for index in range(config["num_res_blocks"] + 1)):
            changed = convolved(tensors, f"{name}.conv1", activated(f"{name}.norm1", states))
            changed = convolved(tensors, f"{name}.conv2", activated(f"{name}.norm2", changed))
            if (shortcut := f"{name}.nin_shortcut") + ".weight" in tensors:
                states = functional.conv3d(states, tensors[f"{shortcut}.weight"], tensors[f"{shortcut}.bias"])
            states = states + changed
    return convolved(tensors, "conv_out", activated("norm_out", states))


@pytest.mark.parametrize("is_known", [False, True])
def test_what_the_transformer_is_given(networks: Networks, is_known: bool) -> None:
    """The smaller clip with noise while the course has as much, then zeros; the known frames all the while; timesteps
    by a shift of two, and where each step goes."""
    generator = torch.Generator().manual_seed(3)
    small, noise = (torch.randn((1, *shape), generator=generator) for shape in (SMALL, LARGE))
    known = torch.randn((1, 1, *LARGE[1:]), generator=generator) if is_known else None
    (prompt,), _ = hunyuanvideo_1_5.encode_prompts(networks, ["a red circle"], None)
    seed = torch.Generator().manual_seed(5)
    calls, undo = noted(networks.sr_transformer)
    start = enlarge(networks, Inputs(noise, (prompt,), known, SAMPLING, seed), small)
    latents = denoise(start, watch_that())
    undo()
    assert latents.shape == noise.shape and len(calls) == SR_1080P.steps

    with torch.inference_mode():
        stretched = functional.interpolate(small[0], size=LARGE[2:], mode="bilinear", align_corners=False)
        upsampled = networks.upsampler(stretched.transpose(0, 1)[None])
    drawn = torch.randn((1, CHANNELS, LARGE[0], *LARGE[2:]), generator=torch.Generator().manual_seed(5))
    for index, call in enumerate(calls):
        level, following = (2 * left / (1 + left) for left in (1 - index / 8, 1 - (index + 1) / 8))
        assert float(call["timestep"]) == pytest.approx(1000 * level)
        assert float(call["timestep_r"]) == pytest.approx(1000 * following)
        given = call["hidden_states"]
        assert given.shape[1] == 3 * CHANNELS + 2
        own, first, mask, beside, is_beside = given.split([CHANNELS, CHANNELS, 1, CHANNELS, 1], dim=1)
        if index == 0:
            assert torch.equal(own, noise.transpose(1, 2))
        if known is None:
            assert not first.any() and not mask.any()
        else:
            assert torch.equal(first[:, :, :1], known.transpose(1, 2)) and not first[:, :, 1:].any()
            assert mask[:, :, :1].all() and not mask[:, :, 1:].any()
        if index < 4:  # 1, 0.93, 0.86, 0.77
            assert (beside - (0.3 * upsampled + 0.7 * drawn)).abs().max() < CLOSE and (is_beside == 1).all()
        else:  # 0.67 and less
            assert not beside.any() and not is_beside.any()


def noted(transformer: nn.Module) -> tuple[list[dict[str, Any]], Callable[[], None]]:
    """What it is called with from now on."""
    calls: list[dict[str, Any]] = []
    hook = transformer.register_forward_pre_hook(lambda _, __, given: calls.append(given), with_kwargs=True)
    return calls, hook.remove
