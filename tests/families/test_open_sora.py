"""Open-Sora 2 beside the published code: its outputs on a small checkpoint of random numbers, in float32.

open_sora.safetensors has them. `transformer.*` and `vae.*` are the checkpoint's two files, under their published names.
Of the transformer alone: `caseN.*` and what it predicts. Of a whole clip, from `noise`, `t5.*`, `clip.*` and `image`:
the decoded pixels. The metadata's `config` says how both were made.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLHunyuanVideo, FluxTransformer2DModel
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, CLIPModel, T5EncoderModel

from builder.tiny import open_sora as tiny
from tests.families.running import reader
from tests.stopping import cancelled_at
from tests.watches import watch_that
from videoworker.errors import Code, JobError
from videoworker.families import family
from videoworker.families.open_sora import guidance
from videoworker.families.open_sora.family import TRANSFORMER, Conditioning, Networks
from videoworker.families.open_sora.published import as_flux
from videoworker.models.open_sora import OPEN_SORA
from videoworker.models.piece import LEAST
from videoworker.models.sampling import Sampling
from videoworker.request import Progress
from videoworker.sampling import carried_convolution, whole_decoder
from videoworker.sampling.denoise import Inputs, Start, denoise
from videoworker.sampling.latent_space import Shape

FAMILY = family("open_sora")
CHECKPOINT = OPEN_SORA.checkpoint
PLACES = CHECKPOINT.places
CLOSE = 1e-4
EXACT = 2e-5
UNUSED = torch.Generator()  # nothing is drawn after the noise
PROMPT = "raining, sea"
TOLD = "raining, sea. 24 FPS. 4 motion score."

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Published:
    """What the published code made, and of what."""

    configuration: Any
    tensors: Tensors

    def part(self, prefix: str) -> Tensors:
        return {name.removeprefix(prefix): one for name, one in self.tensors.items() if name.startswith(prefix)}

    def transformer(self) -> dict[str, Any]:
        """Its configuration, as diffusers has it."""
        sizes = self.configuration["transformer"]
        width, head = sizes["hidden_size"], sizes["hidden_size"] // sizes["num_heads"]
        small = tiny.Transformer(
            width,
            head,
            sizes["depth"],
            sizes["depth_single_blocks"],
            sizes["in_channels"],
            len(self.tensors["transformer.cond_in.weight"][0]),
            sizes["context_in_dim"],
            sizes["vec_in_dim"],
        )
        assert list(small.configuration()["axes_dims_rope"]) == sizes["axes_dim"]
        return small.configuration()


@pytest.fixture(scope="module")
def published() -> Published:
    file = Path(__file__).with_name("open_sora.safetensors")
    with safe_open(file, "pt") as opened:
        return Published(json.loads(opened.metadata()["config"]), load_file(file))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("open-sora")
    tiny.save(folder, "open-sora")
    return folder


@pytest.fixture(scope="module")
def networks(folder: Path) -> Networks:
    return loaded(folder)


@pytest.fixture(scope="module")
def published_folder(folder: Path, published: Published, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint with the published code's two networks."""
    made = tmp_path_factory.mktemp("published")
    for place in ("google", "openai"):
        (made / place).symlink_to(folder / place)
    tiny.save_network(made / PLACES["transformer"], published.part("transformer."), published.transformer())
    tiny.save_network(made / PLACES["vae"], published.part("vae."), published.configuration["vae"])
    return made


@pytest.fixture(scope="module")
def published_networks(published_folder: Path) -> Networks:
    return loaded(published_folder)


def loaded(folder: Path, dtype: torch.dtype = torch.float32) -> Networks:
    networks: Networks = FAMILY.load(reader(folder, dtype, PLACES))
    return networks


@torch.inference_mode()
def predicted(transformer: Any, published: Published, case: str) -> torch.Tensor:
    given = published.part(f"{case}.")
    states = given["txt"]
    made: torch.Tensor = transformer(
        hidden_states=torch.cat([given["img"], given["cond"]], dim=-1),
        encoder_hidden_states=states,
        pooled_projections=given["y_vec"],
        timestep=given["timesteps"],
        img_ids=torch.cartesian_prod(*(torch.arange(count) for count in given["grid_thw"].tolist())),
        txt_ids=torch.zeros(states.shape[1], 3),
        return_dict=False,
    )[0]
    return made


def distance(transformer: Any, published: Published, case: str = "case0") -> float:
    return float((predicted(transformer, published, case) - published.tensors[f"{case}.output"]).abs().max())


@pytest.mark.parametrize("case", ["case0", "case1"])
def test_predictions_are_the_published_codes(published: Published, published_networks: Networks, case: str) -> None:
    assert published.tensors[f"{case}.output"].abs().max() > 1
    assert distance(published_networks.transformer, published, case) < CLOSE


def reordered(name: str) -> Callable[[Tensors], None]:
    """Rows as they would lie if the rotary pairs were side by side already."""

    def change(tensors: Tensors) -> None:
        tensors[name] = tensors[name].unflatten(0, (-1, 16, 2)).transpose(1, 2).flatten(0, 2)

    return change


def swapped_halves(tensors: Tensors) -> None:
    for kind in ("weight", "bias"):
        name = f"final_layer.adaLN_modulation.1.{kind}"
        tensors[name] = torch.cat(tensors[name].chunk(2)[::-1])


def packed_otherwise(name: str, channels: int) -> Callable[[Tensors], None]:
    """Columns for tokens of two rows of two pixels, each with all its channels."""

    def change(tensors: Tensors) -> None:
        tensors[name] = tensors[name].unflatten(1, (channels, 4)).transpose(1, 2).flatten(1)

    return change


def without_bias(tensors: Tensors) -> None:
    tensors["cond_in.bias"] = torch.zeros_like(tensors["cond_in.bias"])


@pytest.mark.parametrize(
    "change",
    [
        reordered("double_blocks.1.img_attn.q_proj.weight"),
        reordered("double_blocks.0.txt_attn.k_proj.bias"),
        reordered("double_blocks.0.img_attn.norm.key_norm.scale"),
        reordered("single_blocks.2.k_proj.weight"),
        reordered("single_blocks.0.norm.query_norm.scale"),
        swapped_halves,
        packed_otherwise("img_in.weight", 4),
        packed_otherwise("cond_in.weight", 5),
        without_bias,
    ],
    ids=[
        "order of queries",
        "order of keys' bias",
        "order of a norm",
        "order in single-stream blocks",
        "order of a norm there",
        "last modulation",
        "packing",
        "packing of the condition",
        "no bias of the condition",
    ],
)
def test_a_wrong_form_would_be_seen(published: Published, change: Callable[[Tensors], None]) -> None:
    tensors = published.part("transformer.")
    change(tensors)
    transformer = FluxTransformer2DModel(**published.transformer())
    transformer.load_state_dict(as_flux(tensors))
    assert distance(transformer, published) > 10 * CLOSE


def published_start(published: Published, networks: Networks, with_image: bool) -> tuple[Start[Any], Inputs[Any]]:
    prompts = tuple(
        Conditioning(published.tensors[f"t5.{which}"][None], published.tensors[f"clip.{which}"][None])
        for which in ("negative", "prompt")
    )
    known = None
    if with_image:
        with torch.inference_mode():
            encoded = networks.vae.encode(published.tensors["image"][None]).latent_dist.mode()
        known = (encoded * networks.vae.config.scaling_factor).transpose(1, 2)
    sampling = Sampling(published.configuration["steps"], published.configuration["guidance"])
    inputs = Inputs(published.tensors["noise"].transpose(1, 2), prompts, known, sampling, UNUSED)
    return FAMILY.start(networks, inputs), inputs


def published_distance(published: Published, networks: Networks, with_image: bool) -> float:
    """Of the decoded pixels."""
    start, inputs = published_start(published, networks, with_image)
    latents = denoise(start, watch_that())
    if inputs.known is not None:  # as the engine does
        latents = torch.cat([inputs.known, latents[:, 1:]], dim=1)
    pixels = torch.cat(list(FAMILY.decode(networks, latents, UNUSED, watch_that(), LEAST)), dim=2)
    expected = published.tensors["i2v_head.output" if with_image else "t2v.output"]
    assert pixels.shape == expected.shape
    return float((pixels - expected).abs().max())


@pytest.mark.parametrize(("with_image", "passes"), [(False, 26), (True, 38)], ids=["text", "first frame"])
def test_frames_are_the_published_codes(
    published: Published, published_networks: Networks, with_image: bool, passes: int
) -> None:
    """Of 14 steps, theirs take three passes each."""
    calls: list[None] = []
    counting = published_networks.transformer.register_forward_pre_hook(lambda *_: calls.append(None))
    with counting:
        assert published_distance(published, published_networks, with_image) < CLOSE
    assert len(calls) == passes


def test_guidance_that_does_not_oscillate_would_be_seen(
    published: Published, published_networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guidance, "_STEADY_STEPS", 99)
    assert published_distance(published, published_networks, with_image=False) > 10 * CLOSE


def test_guidance_that_is_the_same_for_all_frames_would_be_seen(
    published: Published, published_networks: Networks, monkeypatch: pytest.MonkeyPatch
) -> None:
    scales = tuple(torch.full((3,), 3.0) for _ in range(14))
    monkeypatch.setattr("videoworker.families.open_sora.family.image_scales", lambda *_: scales)
    assert published_distance(published, published_networks, with_image=True) > 10 * CLOSE


@pytest.mark.parametrize(
    ("scale", "with_image", "passes"),
    [(7.5, False, 80), (7.5, True, 110), (1.0, False, 50), (1.0, True, 50)],
)
def test_passes_of_50_steps(networks: Networks, scale: float, with_image: bool, passes: int) -> None:
    noise = FAMILY.get_noise(networks, Shape(9, 64, 32), torch.Generator().manual_seed(1))
    prompts, _ = FAMILY.encode_prompts(networks, ["", PROMPT][-2 if scale > 1 else -1 :], None)
    known = noise[:, :1] if with_image else None
    start = FAMILY.start(networks, Inputs(noise, prompts, known, Sampling(50, scale), UNUSED))
    assert sum(len(start.guidance.prompts(index, start.prompts)) for index in range(50)) == passes


@pytest.mark.parametrize(
    ("shape", "flow_shift", "shift"),
    [(Shape(5, 256, 256), None, 2**0.5), (Shape(13, 336, 192), None, 2 * (1 - 8 / 3840)), (Shape(5, 64, 64), 3.0, 3.0)],
    ids=["256x256", "192x336", "asked for"],
)
def test_the_course_of_noise(networks: Networks, shape: Shape, flow_shift: float | None, shift: float) -> None:
    """A picture of 256 tokens and one latent frame has no shift."""
    noise = FAMILY.get_noise(networks, shape, torch.Generator())
    prompts, _ = FAMILY.encode_prompts(networks, [PROMPT], None)
    sampling = Sampling(4, 1.0, flow_shift=flow_shift)
    schedule: Any = FAMILY.start(networks, Inputs(noise, prompts, None, sampling, UNUSED)).schedule
    even = np.linspace(1, 0, 5)
    assert schedule.sigmas.numpy() == pytest.approx(shift * even / (1 + (shift - 1) * even), abs=1e-6)
    assert torch.equal(schedule.timesteps, schedule.sigmas[:-1])


def test_both_published_layouts_are_one_network(folder: Path, networks: Networks, tmp_path: Path) -> None:
    tensors = load_file(folder / PLACES["transformer"])
    with safe_open(folder / PLACES["transformer"], "pt") as opened:
        metadata = opened.metadata()
    fused: Tensors = {}
    for name, tensor in tensors.items():
        stem = name.rpartition(".")[0]
        queries = name.replace("k_proj", "q_proj").replace("v_proj", "q_proj").replace("v_mlp", "q_proj")
        if stem.endswith(("q_proj", "k_proj")):
            tensor = tensor.unflatten(0, (-1, 2, 16)).transpose(1, 2).flatten(0, 2)
        if "norm." in name:
            tensor = tensor.unflatten(0, (2, 16)).T.flatten()
        if stem.rpartition(".")[2] in ("q_proj", "k_proj", "v_proj", "v_mlp"):
            target = "qkv" if "double" in name else "linear1"
            fused.setdefault(queries.replace("q_proj", target), torch.empty(0))
        else:
            fused[name] = tensor.contiguous()
        tensors[name] = tensor
    for name in fused:
        for target, last in (("qkv", "v_proj"), ("linear1", "v_mlp")):
            if f".{target}." in name:
                fused[name] = torch.cat([tensors[name.replace(target, one)] for one in ("q_proj", "k_proj", last)])
    assert len(fused) < len(tensors)
    for place in ("google", "openai", PLACES["vae"]):
        (tmp_path / place).symlink_to(folder / place)
    save_file(fused, tmp_path / PLACES["transformer"], metadata)
    expected = networks.transformer.state_dict()
    made = loaded(tmp_path).transformer.state_dict()
    assert all(torch.equal(made[name], tensor) for name, tensor in expected.items())


def test_the_published_size() -> None:
    """Of names and shapes none is left over and none is missing."""
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in tiny.Transformer().shapes().items()}
        transformer = FluxTransformer2DModel(**TRANSFORMER)
        autoencoder = AutoencoderKLHunyuanVideo()
    parameters = sum(tensor.numel() for tensor in tensors.values())
    assert parameters == 11_891_390_528
    declared = {component.name: component.size for component in CHECKPOINT.components}
    assert declared["transformer"] == 2 * parameters
    assert declared["vae"] == 2 * sum(parameter.numel() for parameter in autoencoder.parameters())
    made = {name: tensor.shape for name, tensor in as_flux(tensors).items()}
    assert len(made) == 1156
    assert made == {name: tensor.shape for name, tensor in transformer.state_dict().items()}


def test_a_tensor_too_many_or_too_few_is_an_error(folder: Path, tmp_path: Path) -> None:
    """A network that is partly random would make noise."""
    for place in ("google", "openai", PLACES["vae"]):
        (tmp_path / place).symlink_to(folder / place)
    tensors = load_file(folder / PLACES["transformer"])
    extra = tensors | {"double_blocks.0.img_attn.extra.weight": torch.ones(1)}
    lacking = {name: tensor for name, tensor in tensors.items() if name != "single_blocks.0.linear2.bias"}
    for changed, said in ((extra, "img_attn.extra.weight"), (lacking, "proj_out.bias")):
        tiny.save_network(tmp_path / PLACES["transformer"], changed, tiny.SMALL.configuration())
        with pytest.raises(RuntimeError, match=said):
            loaded(tmp_path)


@torch.inference_mode()
def test_what_the_text_encoders_read(networks: Networks, folder: Path) -> None:
    """The prompt is told the frame rate and the motion, the negative one is not. T5 sees its padding."""
    (negative, prompt), cut = FAMILY.encode_prompts(networks, ["", PROMPT], None)
    (stopped,), _ = FAMILY.encode_prompts(networks, [f"{PROMPT}."], None)
    (marked, _), _ = FAMILY.encode_prompts(networks, ["</s>", PROMPT], None)
    assert cut == 0
    assert torch.equal(stopped.states, prompt.states)
    assert torch.equal(marked.states, negative.states)  # T5's end mark is there once
    t5_folder, clip_folder = folder / PLACES["text_encoder"], folder / PLACES["text_encoder_2"]
    t5, clip = T5EncoderModel.from_pretrained(t5_folder).eval(), CLIPModel.from_pretrained(clip_folder).eval()
    for text, made in (("", negative), (TOLD, prompt)):
        ids = AutoTokenizer.from_pretrained(t5_folder)(text, padding="max_length", return_tensors="pt").input_ids
        assert made.states.shape == (1, 512, ids.shape[0] * t5.config.d_model)
        assert (made.states - t5(ids).last_hidden_state).abs().max() < EXACT
        ids = AutoTokenizer.from_pretrained(clip_folder)(text, padding="max_length", return_tensors="pt").input_ids
        assert ids.shape == (1, 77)
        assert (made.pooled - clip.text_model(ids).pooler_output).abs().max() < EXACT


def test_tokens_that_do_not_fit(networks: Networks) -> None:
    (made,), cut = FAMILY.encode_prompts(networks, ["r" * 512], None)
    assert (made.states.shape[1], cut) == (512, len(TOLD) - len(PROMPT) + 2)  # and the marks around the text


def test_a_first_frame(networks: Networks) -> None:
    frames = np.random.default_rng(3).integers(0, 256, (1, 32, 64, 3), dtype=np.uint8)
    assert FAMILY.encode_frames is not None
    known = FAMILY.encode_frames(networks, frames)
    assert known.shape == (1, 1, 4, 4, 8) and known.dtype == torch.float32
    noise = FAMILY.get_noise(networks, Shape(9, 64, 32), torch.Generator().manual_seed(1))
    prompts, _ = FAMILY.encode_prompts(networks, ["", PROMPT], None)
    sampling = Sampling(2, 7.5)
    free, led = (
        denoise(FAMILY.start(networks, Inputs(noise, prompts, first, sampling, UNUSED)), watch_that())
        for first in (None, known)
    )
    assert led.shape == free.shape == (1, 3, 4, 4, 8)
    assert (led - free).abs().amax(dim=(0, 2, 3, 4)).min() > CLOSE  # every latent frame is led


@pytest.mark.parametrize(
    ("count", "height", "width", "tiles"), [(4, 6, 8, 1), (2, 34, 26, 4)], ids=["piece by piece", "in tiles"]
)
def test_pixels_are_those_of_diffusers(
    networks: Networks, count: int, height: int, width: int, tiles: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tile is decoded piece by piece if it is large. So is the small one here."""
    if tiles == 1:
        monkeypatch.setattr(carried_convolution, "_BYTES_AT_ONCE", 1)
        monkeypatch.setattr(whole_decoder, "_NUMBERS_AT_ONCE", 1)
        monkeypatch.setattr(whole_decoder, "_BYTES_OF_SOME_GROUPS", 1)
    latents = torch.randn((1, count, 4, height, width), generator=torch.Generator().manual_seed(2))
    networks.vae.use_framewise_decoding = False
    with torch.inference_mode():
        whole = networks.vae.decode(latents.transpose(1, 2) / networks.vae.config.scaling_factor).sample
    reports: list[Progress] = []
    pieces = list(FAMILY.decode(networks, latents, UNUSED, watch_that(reports.append), LEAST))
    pixels = torch.cat(pieces, dim=2)
    assert pixels.shape == whole.shape == (1, 3, 4 * count - 3, 8 * height, 8 * width)
    assert (pixels - whole).abs().max() < EXACT
    assert [(one.stage, one.step, one.steps) for one in reports] == [
        ("decode", tile + 1, tiles) for tile in range(tiles)
    ]


def test_a_cancel_is_heard_between_tiles(networks: Networks) -> None:
    watch, reports = cancelled_at(1)
    with pytest.raises(JobError) as caught:
        list(FAMILY.decode(networks, torch.zeros(1, 2, 4, 4, 40), UNUSED, watch, LEAST))
    assert caught.value.code is Code.CANCELLED
    assert [(one.step, one.steps) for one in reports] == [(1, 2)]


def test_in_16_bits(folder: Path, networks: Networks) -> None:
    """The latents between the steps stay in float32."""
    narrow = loaded(folder, torch.bfloat16)
    noise = FAMILY.get_noise(networks, Shape(5, 32, 32), torch.Generator().manual_seed(1))
    made = []
    for one in (narrow, networks):
        prompts, _ = FAMILY.encode_prompts(one, [PROMPT], None)
        made.append(denoise(FAMILY.start(one, Inputs(noise, prompts, None, Sampling(3, 1.0), UNUSED)), watch_that()))
    assert narrow.transformer.dtype == torch.bfloat16 and made[0].dtype == torch.float32
    assert 0 < (made[0] - made[1]).abs().max() < 0.05 * made[1].abs().max()
