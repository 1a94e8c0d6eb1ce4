"""Our sampling of HunyuanVideo-1.5 beside diffusers' own pipelines: the same numbers, unmasked, streamed, stoppable."""

import json
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, HunyuanVideo15ImageToVideoPipeline, HunyuanVideo15Pipeline
from numpy.typing import NDArray
from PIL import Image
from torch.nn.attention import SDPBackend, sdpa_kernel

from builder.tiny import hunyuanvideo_1_5 as tiny
from tests.families.running import frames_of, reader
from tests.stopping import cancelled_at
from tests.watches import watch_that
from videoworker.errors import Code, JobError
from videoworker.families.hunyuanvideo_1_5 import family as hunyuanvideo_1_5
from videoworker.families.hunyuanvideo_1_5.decoder import stream
from videoworker.families.hunyuanvideo_1_5.family import Networks
from videoworker.models.piece import Piece
from videoworker.models.sampling import Sampling
from videoworker.request import Progress
from videoworker.sampling.denoise import Inputs, denoise
from videoworker.sampling.latent_space import Shape

CPU = torch.device("cpu")
PROMPT, NEGATIVE = 'A cup that says "tea" and “hot”', 'blue, "tea"'
STEPS = 2
CLOSE = 1e-4
WHOLE = (0, 1)
UNUSED = torch.Generator()  # nothing is drawn after the noise
TEXT, IMAGE, FEW_STEPS = "480p-t2v", "480p-i2v", "480p-i2v-step-distilled"
SMALL, WIDE = (64, 64, 5), (48, 80, 9)  # height, width, frames


@dataclass(frozen=True)
class Pair:
    """One checkpoint, loaded by us and by diffusers."""

    variant: str
    ours: Networks
    theirs: Any


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    root = tmp_path_factory.mktemp("hunyuanvideo_1_5")

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
            kind = HunyuanVideo15Pipeline if "t2v" in variant else HunyuanVideo15ImageToVideoPipeline
            theirs = kind.from_pretrained(folders(variant))
            theirs.set_progress_bar_config(disable=True)
            made[variant] = Pair(variant, hunyuanvideo_1_5.load(reader(folders(variant))), theirs)
        return made[variant]

    return load


@pytest.fixture
def text(pairs: Callable[[str], Pair]) -> Networks:
    return pairs(TEXT).ours


def picture(pair: Pair, size: tuple[int, int, int]) -> NDArray[np.uint8] | None:
    if "t2v" in pair.variant:
        return None
    return np.random.default_rng(3).integers(0, 256, (size[0], size[1], 3), dtype=np.uint8)


def noise_for(networks: Networks, size: tuple[int, int, int] = SMALL) -> torch.Tensor:
    height, width, frames = size
    return hunyuanvideo_1_5.get_noise(networks, Shape(frames, width, height), torch.Generator().manual_seed(7))


def ours(
    pair: Pair,
    sampling: Sampling,
    size: tuple[int, int, int] = SMALL,
    negative: str | None = None,
    prompt: str = PROMPT,
) -> torch.Tensor:
    """Our latents in diffusers' layout."""
    image = picture(pair, size)
    prompts = [prompt] if negative is None else [negative, prompt]
    conditioning, _ = hunyuanvideo_1_5.encode_prompts(pair.ours, prompts, image)
    given = None if image is None else hunyuanvideo_1_5.encode_frames(pair.ours, image[np.newaxis])
    noise = noise_for(pair.ours, size)
    latents = denoise(
        hunyuanvideo_1_5.start(pair.ours, Inputs(noise, conditioning, given, sampling, UNUSED)), watch_that()
    )
    return latents.transpose(1, 2)


def theirs(
    pair: Pair,
    sampling: Sampling,
    size: tuple[int, int, int] = SMALL,
    negative: str | None = None,
    output_type: str = "latent",
) -> torch.Tensor:
    """The same clip by diffusers' pipeline, with a guider and a scheduler for it alone."""
    height, width, frames = size
    pipeline, image = pair.theirs, picture(pair, size)
    usual = pipeline.guider, pipeline.scheduler
    pipeline.guider = pipeline.guider.new(guidance_scale=sampling.guidance_scale)
    shift = {} if sampling.flow_shift is None else {"shift": sampling.flow_shift}
    pipeline.scheduler = FlowMatchEulerDiscreteScheduler.from_config(pipeline.scheduler.config, **shift)
    where: dict[str, object] = {"height": height, "width": width}
    if image is not None:
        where = {"image": Image.fromarray(image)}
    try:
        made: torch.Tensor = pipeline(
            prompt=PROMPT,
            negative_prompt=negative,
            num_frames=frames,
            num_inference_steps=sampling.steps,
            latents=noise_for(pair.ours, size).transpose(1, 2).clone(),
            output_type=output_type,
            **where,
        ).frames
    finally:
        pipeline.guider, pipeline.scheduler = usual
    return made


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    assert one.shape == other.shape
    return float((one - other).abs().max())


@pytest.mark.parametrize("size", [SMALL, WIDE])
@pytest.mark.parametrize("negative", [None, "", NEGATIVE])
@pytest.mark.parametrize("variant", [TEXT, IMAGE, FEW_STEPS])
def test_latents_are_those_of_diffusers_own_pipeline(
    pairs: Callable[[str], Pair], variant: str, negative: str | None, size: tuple[int, int, int]
) -> None:
    pair, sampling = pairs(variant), Sampling(STEPS, 1.0 if negative is None else 6.0)
    assert difference(ours(pair, sampling, size, negative), theirs(pair, sampling, size, negative)) < CLOSE


@pytest.mark.parametrize("variant", sorted(set(tiny.VARIANTS) - {TEXT, IMAGE, FEW_STEPS}))
def test_every_further_variant_gives_the_latents_of_diffusers_own_pipeline(
    pairs: Callable[[str], Pair], variant: str
) -> None:
    pair, sampling = pairs(variant), Sampling(1, 1.0)
    assert difference(ours(pair, sampling), theirs(pair, sampling)) < CLOSE


@pytest.mark.parametrize("variant", [TEXT, IMAGE])
def test_frames_are_those_of_diffusers_own_pipeline(pairs: Callable[[str], Pair], variant: str) -> None:
    pair, sampling = pairs(variant), Sampling(1, 1.0)
    expected = theirs(pair, sampling, WIDE, output_type="pt")[0].permute(0, 2, 3, 1).numpy() * 255
    latents = ours(pair, sampling, WIDE).transpose(1, 2)
    made = list(frames_of(hunyuanvideo_1_5.decode(pair.ours, latents, UNUSED, watch_that())))
    assert len(made) == len(expected) == WIDE[2]
    assert np.abs(np.stack(made) - expected).max() <= 0.6  # half a level is rounding


def test_flow_shift_arrives_and_the_next_clip_is_not_affected(pairs: Callable[[str], Pair]) -> None:
    pair, usual, asked = pairs(TEXT), Sampling(3, 1.0), Sampling(3, 1.0, flow_shift=2.0)
    before, shifted, after = ours(pair, usual), ours(pair, asked), ours(pair, usual)
    assert torch.equal(before, after)
    assert difference(before, shifted) > 100 * CLOSE
    assert difference(shifted, theirs(pair, asked)) < CLOSE


def test_guidance_arrives_and_the_next_clip_is_not_affected(pairs: Callable[[str], Pair]) -> None:
    pair, usual, asked = pairs(TEXT), Sampling(STEPS, 6.0), Sampling(STEPS, 2.5)
    before, weak, after = (ours(pair, sampling, negative="blue") for sampling in (usual, asked, usual))
    assert torch.equal(before, after)
    assert difference(before, weak) > 10 * CLOSE
    assert difference(weak, theirs(pair, asked, negative="blue")) < CLOSE


def test_the_checkpoints_guider_says_when_guidance_begins_and_how_it_is_rescaled(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders(TEXT), tmp_path / "guided")
    edit(folder / "guider" / "guider_config.json", start=0.4, guidance_rescale=0.7)
    networks = hunyuanvideo_1_5.load(reader(folder))
    pipeline = HunyuanVideo15Pipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    pair, sampling = Pair(TEXT, networks, pipeline), Sampling(STEPS, 6.0)
    assert difference(ours(pair, sampling, negative="blue"), theirs(pair, sampling, negative="blue")) < CLOSE


def test_quoted_words_the_prompt_and_the_picture_each_change_the_latents(pairs: Callable[[str], Pair]) -> None:
    pair, sampling = pairs(IMAGE), Sampling(STEPS, 1.0)
    quoted, unquoted = 'a sign "tea"', "a sign tea"
    black = hunyuanvideo_1_5.encode_frames(pair.ours, np.zeros((1, 64, 64, 3), np.uint8))
    conditioning, _ = hunyuanvideo_1_5.encode_prompts(pair.ours, [quoted], np.zeros((64, 64, 3), np.uint8))
    inputs = Inputs(noise_for(pair.ours), conditioning, black, sampling, UNUSED)
    made = [
        ours(pair, sampling, prompt=quoted),
        ours(pair, sampling, prompt=unquoted),
        ours(pair, sampling, prompt="another"),
        denoise(hunyuanvideo_1_5.start(pair.ours, inputs), watch_that()).transpose(1, 2),
    ]
    for number, one in enumerate(made):
        assert all(difference(one, other) > CLOSE for other in made[:number])


def test_no_attention_mask_is_passed_so_that_every_kernel_may_run(pairs: Callable[[str], Pair]) -> None:
    pair = pairs(IMAGE)
    usual = ours(pair, Sampling(STEPS, 1.0))
    pair.ours.transformer.set_attention_backend("_native_flash")  # it refuses a mask
    try:
        assert difference(ours(pair, Sampling(STEPS, 1.0)), usual) < CLOSE
    finally:
        pair.ours.transformer.set_attention_backend("native")


def test_only_the_prompts_own_tokens_are_encoded(text: Networks) -> None:
    (empty, short), _ = hunyuanvideo_1_5.encode_prompts(text, ["", "abc"], None)
    assert short.states.shape[1] - empty.states.shape[1] == 2  # an empty prompt is read as a space
    assert short.glyphs.shape[1] == short.picture.shape[1] == 0
    (quoted,), _ = hunyuanvideo_1_5.encode_prompts(text, ['"é"'], None)
    assert quoted.glyphs.shape[1] == len('Text "é". '.encode()) + 1  # and the end mark


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [("x" * 995, 0), ("x" * 996, 1), ("x" * 1200, 205), (f'"{"x" * 246}"', 0), (f'"{"x" * 250}"', 4)],
    ids=["whole", "one token", "many tokens", "whole quote", "long quote"],
)
def test_tokens_that_do_not_fit_are_counted_and_the_rest_is_what_diffusers_takes(
    pairs: Callable[[str], Pair], prompt: str, expected: int
) -> None:
    pair = pairs(TEXT)
    (mine,), cut = hunyuanvideo_1_5.encode_prompts(pair.ours, [prompt], None)
    assert cut == expected
    with torch.no_grad():
        states, mask, glyphs, glyph_mask = pair.theirs.encode_prompt(prompt, device=CPU)
    assert difference(mine.states, states[mask.bool()].unsqueeze(0)) < CLOSE
    if mine.glyphs.shape[1]:
        assert difference(mine.glyphs, glyphs[glyph_mask.bool()].unsqueeze(0)) < CLOSE
    else:
        assert not glyph_mask.any()


def test_noise_is_the_numbers_that_diffusers_draws_for_the_seed(text: Networks) -> None:
    expected = torch.randn((1, tiny.LATENT_CHANNELS, 2, 4, 4), generator=torch.Generator().manual_seed(7))
    assert torch.equal(noise_for(text).transpose(1, 2), expected)


@pytest.mark.parametrize(
    ("height", "width", "count", "at_once"), [(2, 3, 1, 1), (2, 3, 2, 1), (3, 2, 3, 1), (2, 2, 7, 1), (2, 2, 7, 3)]
)
def test_frames_decoded_piece_by_piece_are_those_of_the_whole_decode(
    pairs: Callable[[str], Pair], height: int, width: int, count: int, at_once: int
) -> None:
    exact = deepcopy(pairs(TEXT).theirs.vae).double()  # so that only a difference in kind can be seen, not rounding
    shape = (1, tiny.LATENT_CHANNELS, count, height, width)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    with torch.inference_mode():
        whole = exact.decode(latents).sample
        chunks = list(stream(exact.decoder, latents, at_once))
    sizes = [min(at_once, count - start) * 4 for start in range(0, count, at_once)]
    assert [chunk.shape[2] for chunk in chunks] == [sizes[0] - 3, *sizes[1:]]
    assert difference(torch.cat(chunks, dim=2), whole) < 1e-12


def test_the_decoders_attention_never_holds_all_its_weights_at_once(pairs: Callable[[str], Pair]) -> None:
    decoder = pairs(TEXT).ours.vae.decoder
    with torch.inference_mode(), sdpa_kernel(SDPBackend.FLASH_ATTENTION):  # which refuses what it would have to copy
        chunks = list(stream(decoder, torch.zeros((1, tiny.LATENT_CHANNELS, 3, 2, 3))))
    assert len(chunks) == 3


@pytest.mark.parametrize("frames", [1, 5, 9])
def test_known_frames_become_the_latents_of_the_autoencoders_own_encode(
    pairs: Callable[[str], Pair], frames: int
) -> None:
    pair = pairs(TEXT)
    clip = np.random.default_rng(1).integers(0, 256, (frames, 32, 48, 3), dtype=np.uint8)
    pixels = torch.from_numpy(clip).permute(3, 0, 1, 2).unsqueeze(0) / 127.5 - 1
    with torch.inference_mode():
        expected = pair.theirs.vae.encode(pixels).latent_dist.mode() * pair.theirs.vae.config.scaling_factor
    assert difference(hunyuanvideo_1_5.encode_frames(pair.ours, clip), expected.transpose(1, 2)) < CLOSE


def test_decoding_is_reported_piece_by_piece_before_its_frames_come(text: Networks) -> None:
    reports: list[Progress] = []
    latents = torch.zeros((1, 3, tiny.LATENT_CHANNELS, 2, 2))
    frames = frames_of(hunyuanvideo_1_5.decode(text, latents, UNUSED, watch_that(reports.append)))
    seen = [len(reports) for _ in frames]
    assert [(report.step, report.steps) for report in reports] == [(1, 3), (2, 3), (3, 3)]
    assert seen == [1] + [2] * 4 + [3] * 4
    reports.clear()
    frames = frames_of(hunyuanvideo_1_5.decode(text, latents, UNUSED, watch_that(reports.append), Piece(2)))
    assert [len(reports) for _ in frames] == [1] * 5 + [2] * 4
    assert [(report.step, report.steps) for report in reports] == [(2, 3), (3, 3)]


@pytest.mark.parametrize("variant", [TEXT, IMAGE])
def test_a_cancelled_clip_stops_at_its_step_and_leaves_nothing_behind(
    pairs: Callable[[str], Pair], variant: str
) -> None:
    pair = pairs(variant)
    before = ours(pair, Sampling(STEPS, 1.0))
    latents = torch.randn((1, 4, tiny.LATENT_CHANNELS, 3, 3), generator=torch.Generator().manual_seed(4))
    shown = list(frames_of(hunyuanvideo_1_5.decode(pair.ours, latents, UNUSED, watch_that())))
    image = picture(pair, WIDE)
    conditioning, _ = hunyuanvideo_1_5.encode_prompts(pair.ours, [NEGATIVE, PROMPT], image)
    given = None if image is None else hunyuanvideo_1_5.encode_frames(pair.ours, image[np.newaxis])
    sampling = Sampling(9, 3.0, flow_shift=3.0)
    watch, reports = cancelled_at(2)
    with pytest.raises(JobError) as caught:
        noise = noise_for(pair.ours, WIDE)
        denoise(hunyuanvideo_1_5.start(pair.ours, Inputs(noise, conditioning, given, sampling, UNUSED)), watch)
    assert caught.value.code is Code.CANCELLED
    assert [report.step for report in reports] == [1, 2]

    watch, reports = cancelled_at(2)
    with pytest.raises(JobError):
        list(frames_of(hunyuanvideo_1_5.decode(pair.ours, latents, UNUSED, watch)))
    assert [report.step for report in reports] == [1, 2]
    assert torch.equal(ours(pair, Sampling(STEPS, 1.0)), before)
    again = list(frames_of(hunyuanvideo_1_5.decode(pair.ours, latents, UNUSED, watch_that())))
    assert np.array_equal(np.stack(again), np.stack(shown))


def test_numbers_that_are_not_finite_are_no_video(folders: Callable[[str], Path]) -> None:
    broken = hunyuanvideo_1_5.load(reader(folders(TEXT)))
    broken.transformer.proj_out.bias.data[0] = float("nan")
    with pytest.raises(JobError) as caught:
        ours(Pair(TEXT, broken, None), Sampling(1, 1.0))
    assert caught.value.code is Code.GENERATION_FAILED


@pytest.mark.parametrize("variant", [TEXT, FEW_STEPS])
def test_bfloat16_networks_keep_timesteps_and_latents_exact(folders: Callable[[str], Path], variant: str) -> None:
    networks = hunyuanvideo_1_5.load(reader(folders(variant), torch.bfloat16))
    latents = ours(Pair(variant, networks, None), Sampling(STEPS, 2.0), negative="blue")
    assert latents.dtype == torch.float32
    assert len(list(frames_of(hunyuanvideo_1_5.decode(networks, latents.transpose(1, 2), UNUSED, watch_that())))) == 5
    with torch.inference_mode():
        one, next_one = (networks.transformer.time_embed(torch.tensor([step])) for step in (901.0, 902.0))
    assert one.dtype == torch.bfloat16  # in which 901 and 902 are the same number
    assert not torch.equal(one, next_one)


def test_a_tokenizer_that_reads_the_template_otherwise_is_refused_at_load(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders(TEXT), tmp_path / "damaged")
    edit(folder / "tokenizer" / "tokenizer.json", pre_tokenizer={"type": "WhitespaceSplit"})
    with pytest.raises(JobError, match=r"prompt template as \d+ tokens, not as 108") as caught:
        hunyuanvideo_1_5.load(reader(folder))
    assert caught.value.code is Code.MODEL_NOT_LOADED


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
