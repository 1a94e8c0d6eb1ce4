"""Our sampling of HunyuanVideo beside diffusers' own pipelines: the same numbers, unmasked, streamed and stoppable."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKLHunyuanVideo,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideoImageToVideoPipeline,
    HunyuanVideoPipeline,
)
from numpy.typing import NDArray
from PIL import Image

from builder.tiny import hunyuanvideo as tiny
from tests.families.running import frames_of, reader
from tests.stopping import cancelled_at
from tests.watches import watch_that
from videoworker.errors import Code, JobError
from videoworker.families.hunyuanvideo import family as hunyuanvideo
from videoworker.families.hunyuanvideo.family import Networks
from videoworker.models.piece import Piece
from videoworker.models.sampling import Sampling
from videoworker.request import Progress
from videoworker.sampling.denoise import Inputs, denoise
from videoworker.sampling.latent_space import Shape

CPU = torch.device("cpu")
PROMPT, NEGATIVE = "A red circle {moves} right", 'a blue square, "broken"'
STEPS = 2
CLOSE = 1e-4
IN_TILES = "The frames were decoded in tiles that fade into each other, to fit into the memory."
WHOLE = (0, 1)
UNUSED = torch.Generator()  # nothing is drawn after the noise
IMAGE_VARIANTS = ("i2v", "i2v-33ch")
SMALL, WIDE = (48, 64, 5), (64, 96, 13)  # height, width, frames


@dataclass(frozen=True)
class Pair:
    """One checkpoint, loaded by us and by diffusers."""

    variant: str
    ours: Networks
    theirs: Any


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("hunyuanvideo")

    def saved(variant: str) -> Path:
        if not (root / variant).exists():
            tiny.save(root / variant, variant)
        return root / variant

    return saved


@pytest.fixture(scope="session")
def pairs(folders: Callable[[str], Path]) -> Callable[[str], Pair]:
    made: dict[str, Pair] = {}

    def load(variant: str) -> Pair:
        if variant not in made:
            kind = HunyuanVideoPipeline if variant == "t2v" else HunyuanVideoImageToVideoPipeline
            theirs = kind.from_pretrained(folders(variant))
            theirs.set_progress_bar_config(disable=True)
            made[variant] = Pair(variant, hunyuanvideo.load(reader(folders(variant))), theirs)
        return made[variant]

    return load


@pytest.fixture
def text(pairs: Callable[[str], Pair]) -> Networks:
    return pairs("t2v").ours


def picture(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def noise_for(networks: Networks, size: tuple[int, int, int] = SMALL) -> torch.Tensor:
    height, width, frames = size
    return hunyuanvideo.get_noise(networks, Shape(frames, width, height), torch.Generator().manual_seed(7))


def ours(
    pair: Pair, sampling: Sampling, size: tuple[int, int, int] = SMALL, negative: str | None = None
) -> torch.Tensor:
    """Our latents in diffusers' layout."""
    image = None if pair.variant == "t2v" else picture(size[0], size[1])
    prompts = [PROMPT] if negative is None else [negative, PROMPT]
    conditioning, _ = hunyuanvideo.encode_prompts(pair.ours, prompts, image)
    given = None if image is None else hunyuanvideo.encode_frames(pair.ours, image[np.newaxis])
    noise = noise_for(pair.ours, size)
    latents = denoise(hunyuanvideo.start(pair.ours, Inputs(noise, conditioning, given, sampling, UNUSED)), watch_that())
    return latents.transpose(1, 2)


def theirs(
    pair: Pair,
    sampling: Sampling,
    size: tuple[int, int, int] = SMALL,
    negative: str | None = None,
    output_type: str = "latent",
) -> torch.Tensor:
    """The same clip by diffusers' pipeline. Its 33 channels give four frames fewer than it is asked for."""
    height, width, frames = size
    pipeline = pair.theirs
    if sampling.flow_shift is not None:
        config = pipeline.scheduler.config
        pipeline.scheduler = FlowMatchEulerDiscreteScheduler.from_config(config, shift=sampling.flow_shift)
    asked: dict[str, object] = {
        "prompt": PROMPT,
        "negative_prompt": negative,
        "height": height,
        "width": width,
        "num_frames": frames + (4 if pair.variant == "i2v-33ch" else 0),
        "num_inference_steps": sampling.steps,
        "guidance_scale": 6.0 if sampling.embedded_guidance_scale is None else sampling.embedded_guidance_scale,
        "true_cfg_scale": sampling.guidance_scale,
        "latents": noise_for(pair.ours, size).transpose(1, 2).clone(),
        "output_type": output_type,
    }
    if pair.variant != "t2v":
        asked["image"] = Image.fromarray(picture(height, width))
    made: torch.Tensor = pipeline(**asked).frames
    return made


def difference(pair: Pair, mine: torch.Tensor, other: torch.Tensor) -> float:
    dropped = 1 if pair.variant == "i2v-33ch" else 0
    assert mine[:, :, dropped:].shape == other.shape
    return float((mine[:, :, dropped:] - other).abs().max())


@pytest.mark.parametrize("size", [SMALL, WIDE])
@pytest.mark.parametrize("negative", [None, "", NEGATIVE])
@pytest.mark.parametrize("variant", tiny.VARIANTS)
def test_latents_are_those_of_diffusers_own_pipeline(
    pairs: Callable[[str], Pair], variant: str, negative: str | None, size: tuple[int, int, int]
) -> None:
    pair, sampling = pairs(variant), Sampling(STEPS, 1.0 if negative is None else 3.0)
    mine = ours(pair, sampling, size, negative)
    assert difference(pair, mine, theirs(pair, sampling, size, negative)) < CLOSE


@pytest.mark.parametrize("variant", tiny.VARIANTS)
def test_frames_are_those_of_diffusers_own_pipeline(pairs: Callable[[str], Pair], variant: str) -> None:
    pair, sampling = pairs(variant), Sampling(STEPS, 1.0)
    expected = theirs(pair, sampling, WIDE, output_type="pt")[0].permute(0, 2, 3, 1).numpy() * 255
    latents = ours(pair, sampling, WIDE).transpose(1, 2)
    made = list(frames_of(hunyuanvideo.decode(pair.ours, latents, UNUSED, watch_that())))
    assert len(made) == len(expected) == WIDE[2]
    assert np.abs(np.stack(made) - expected).max() <= 0.6  # half a level is rounding


@pytest.mark.parametrize("sampling", [Sampling(STEPS, 1.0, flow_shift=2.0), Sampling(3, 1.0, flow_shift=17.0)])
def test_flow_shift_arrives_and_the_next_clip_is_not_affected(pairs: Callable[[str], Pair], sampling: Sampling) -> None:
    pair, usual = pairs("t2v"), Sampling(sampling.steps, 1.0)
    before, shifted, after = ours(pair, usual), ours(pair, sampling), ours(pair, usual)
    assert torch.equal(before, after)
    assert (before - shifted).abs().max() > 100 * CLOSE
    kept = pair.theirs.scheduler
    try:
        assert difference(pair, shifted, theirs(pair, sampling)) < CLOSE
    finally:
        pair.theirs.scheduler = kept


@pytest.mark.parametrize("variant", ["t2v", "i2v"])
def test_embedded_guidance_arrives_and_is_6_where_none_is_asked_for(pairs: Callable[[str], Pair], variant: str) -> None:
    pair, weak = pairs(variant), Sampling(STEPS, 1.0, embedded_guidance_scale=1.5)
    assert difference(pair, ours(pair, weak), theirs(pair, weak)) < CLOSE
    usual = ours(pair, Sampling(STEPS, 1.0))
    assert torch.equal(usual, ours(pair, Sampling(STEPS, 1.0, embedded_guidance_scale=6.0)))
    assert (usual - ours(pair, weak)).abs().max() > 10 * CLOSE


def test_both_kinds_of_guidance_work_together(pairs: Callable[[str], Pair]) -> None:
    pair, both = pairs("t2v"), Sampling(STEPS, 4.0, embedded_guidance_scale=2.0)
    assert difference(pair, ours(pair, both, negative="dark"), theirs(pair, both, negative="dark")) < CLOSE
    assert (ours(pair, both, negative="dark") - ours(pair, both, negative="")).abs().max() > 10 * CLOSE


def test_no_attention_mask_is_passed_so_that_every_kernel_may_run(pairs: Callable[[str], Pair]) -> None:
    pair = pairs("t2v")
    usual = ours(pair, Sampling(STEPS, 1.0))
    pair.ours.transformer.set_attention_backend("_native_flash")  # it refuses a mask
    try:
        assert (ours(pair, Sampling(STEPS, 1.0)) - usual).abs().max() < CLOSE
    finally:
        pair.ours.transformer.set_attention_backend("native")


def test_noise_is_the_numbers_that_diffusers_draws_for_the_seed(text: Networks) -> None:
    expected = torch.randn((1, 16, 2, 6, 8), generator=torch.Generator().manual_seed(7))
    assert torch.equal(noise_for(text).transpose(1, 2), expected)


def test_only_the_prompts_own_tokens_are_encoded(text: Networks) -> None:
    (short,), _ = hunyuanvideo.encode_prompts(text, ["a"], None)
    (longer,), _ = hunyuanvideo.encode_prompts(text, ["abc"], None)
    assert (short.states.shape[1], longer.states.shape[1]) == (2, 4)  # and the end mark
    assert bool(longer.mask.all())


@pytest.mark.parametrize("variant", tiny.VARIANTS)
def test_tokens_that_do_not_fit_are_counted_and_the_rest_is_what_diffusers_takes(
    pairs: Callable[[str], Pair], variant: str
) -> None:
    pair, image = pairs(variant), None if variant == "t2v" else picture(48, 64)
    behind = 1 if variant == "t2v" else 5  # the end mark; in the image template the assistant's header too
    for length, expected in [(256 - behind, 0), (256 - behind + 1, 1), (300, 300 + behind - 256)]:
        (mine,), cut = hunyuanvideo.encode_prompts(pair.ours, ["x" * length], image)
        assert cut == expected
        given: dict[str, Any] = {} if image is None else {"image": Image.fromarray(image)}
        if variant == "i2v":
            given["image_embed_interleave"] = 4
        with torch.no_grad():
            states, pooled, mask = pair.theirs.encode_prompt(prompt="x" * length, **given)
        valid = states[mask.bool()].unsqueeze(0)
        assert valid.shape == mine.states.shape
        assert (valid - mine.states).abs().max() < CLOSE
        assert (pooled - mine.pooled).abs().max() < CLOSE


@pytest.mark.parametrize("variant", IMAGE_VARIANTS)
def test_a_prompt_that_names_a_second_picture_is_read_without_it(pairs: Callable[[str], Pair], variant: str) -> None:
    networks = pairs(variant).ours
    (named,), _ = hunyuanvideo.encode_prompts(networks, ["a<image>b"], picture(48, 64))
    (plain,), _ = hunyuanvideo.encode_prompts(networks, ["ab"], picture(48, 64))
    assert torch.equal(named.states, plain.states)


def test_token_replace_keeps_the_pictures_own_latents(pairs: Callable[[str], Pair]) -> None:
    pair = pairs("i2v")
    given = hunyuanvideo.encode_frames(pair.ours, picture(48, 64)[np.newaxis])
    assert torch.equal(ours(pair, Sampling(STEPS, 1.0)).transpose(1, 2)[:, :1], given)


@pytest.mark.parametrize("tiled", [False, True])
@pytest.mark.parametrize("count", [1, 2, 4, 5, 6, 7, 8, 11])
def test_frames_decoded_tile_by_tile_are_those_of_diffusers_tiles(
    folders: Callable[[str], Path], count: int, tiled: bool
) -> None:
    """Tiled in time alone, as the autoencoder does by default; if there is little memory, in space too."""
    networks = hunyuanvideo.load(reader(folders("t2v")))
    stock = AutoencoderKLHunyuanVideo.from_pretrained(folders("t2v") / "vae")
    for vae in (networks.vae, stock):
        vae.double()  # so that only a difference in kind can be seen, not rounding
        vae.enable_tiling(64, 64, 16, 48, 48, 12)
    stock.use_tiling = tiled
    latents = torch.randn((1, count, 16, 6, 12), generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.inference_mode():
        whole = stock.decode(latents.transpose(1, 2) / stock.config.scaling_factor).sample[0]
    watch = watch_that()
    pieces = list(hunyuanvideo.decode(networks, latents, UNUSED, watch, Piece(whole_picture=not tiled)))
    assert whole.shape[1] == (count - 1) * 4 + 1
    assert (torch.cat(pieces, dim=2)[0] - whole).abs().max() < 1e-12
    assert watch.notes == (IN_TILES,) * tiled


def test_decoding_is_reported_tile_by_tile_before_the_tiles_frames_come(text: Networks) -> None:
    reports: list[Progress] = []
    latents = torch.zeros((1, 9, 16, 2, 2))
    seen = [len(reports) for _ in frames_of(hunyuanvideo.decode(text, latents, UNUSED, watch_that(reports.append)))]
    assert [(report.step, report.steps) for report in reports] == [(4, 9), (7, 9), (9, 9)]
    assert seen == [1] * 13 + [2] * 12 + [3] * 8


@pytest.mark.parametrize("variant", tiny.VARIANTS)
def test_a_cancelled_clip_stops_at_its_step_and_leaves_nothing_behind(
    pairs: Callable[[str], Pair], variant: str
) -> None:
    pair = pairs(variant)
    image = None if variant == "t2v" else picture(64, 96)
    before = ours(pair, Sampling(STEPS, 1.0))
    conditioning, _ = hunyuanvideo.encode_prompts(pair.ours, [NEGATIVE, PROMPT], image)
    given = None if image is None else hunyuanvideo.encode_frames(pair.ours, image[np.newaxis])
    watch, reports = cancelled_at(2)
    with pytest.raises(JobError) as caught:
        sampling = Sampling(9, 3.0, flow_shift=3.0)
        denoise(
            hunyuanvideo.start(pair.ours, Inputs(noise_for(pair.ours, WIDE), conditioning, given, sampling, UNUSED)),
            watch,
        )
    assert caught.value.code is Code.CANCELLED
    assert [report.step for report in reports] == [1, 2]

    watch, reports = cancelled_at(7)
    frames = frames_of(hunyuanvideo.decode(pair.ours, torch.zeros((1, 12, 16, 4, 4)), UNUSED, watch))
    with pytest.raises(JobError):
        list(frames)
    assert [report.step for report in reports] == [4, 7]
    assert torch.equal(ours(pair, Sampling(STEPS, 1.0)), before)


def test_numbers_that_are_not_finite_are_no_video(folders: Callable[[str], Path]) -> None:
    broken = hunyuanvideo.load(reader(folders("t2v")))
    broken.transformer.proj_out.bias.data[0] = float("nan")
    with pytest.raises(JobError) as caught:
        ours(Pair("t2v", broken, None), Sampling(STEPS, 1.0))
    assert caught.value.code is Code.GENERATION_FAILED


def test_sampling_in_bfloat16_keeps_its_latents_in_float32(folders: Callable[[str], Path]) -> None:
    for variant in tiny.VARIANTS:
        networks = hunyuanvideo.load(reader(folders(variant), torch.bfloat16))
        latents = ours(Pair(variant, networks, None), Sampling(STEPS, 2.0), negative="dark")
        assert latents.dtype == torch.float32
        assert (
            len(list(frames_of(hunyuanvideo.decode(networks, latents.transpose(1, 2), UNUSED, watch_that()))))
            == SMALL[2]
        )


@pytest.mark.parametrize("variant", ["t2v", "i2v"])
def test_a_tokenizer_that_is_declared_as_in_the_real_files_is_read_right(
    folders: Callable[[str], Path], pairs: Callable[[str], Pair], tmp_path: Path, variant: str
) -> None:
    folder = shutil.copytree(folders(variant), tmp_path / "declared")
    edit(folder / "tokenizer" / "tokenizer_config.json", tokenizer_class="LlamaTokenizer")
    image = None if variant == "t2v" else picture(48, 64)
    networks = hunyuanvideo.load(reader(folder))
    (read,), _ = hunyuanvideo.encode_prompts(networks, [PROMPT], image)
    (expected,), _ = hunyuanvideo.encode_prompts(pairs(variant).ours, [PROMPT], image)
    assert torch.equal(read.states, expected.states)


def test_a_tokenizer_that_loses_the_templates_spaces_is_refused_at_load(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders("t2v"), tmp_path / "damaged")
    edit(folder / "tokenizer" / "tokenizer.json", pre_tokenizer={"type": "WhitespaceSplit"})
    with pytest.raises(JobError, match=r"prompt template as \d+ tokens, not as 95") as caught:
        hunyuanvideo.load(reader(folder))
    assert caught.value.code is Code.MODEL_NOT_LOADED


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
