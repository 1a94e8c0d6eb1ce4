"""What the declarations say agrees with itself."""

import pytest

from tests.variants import EVERY_SOUND_VARIANT, EVERY_VARIANT
from videoworker.models import DECLARED, SOUND_VARIANTS, VARIANTS
from videoworker.models.cogvideox import COGVIDEOX_5B_I2V
from videoworker.models.sound_model import Part, SoundModel
from videoworker.models.video_model import VideoModel
from videoworker.planning.plan import plan_clip
from videoworker.planning.sizes import fit
from videoworker.planning.variants import continuing
from videoworker.request import VideoRequest


def test_every_variant_has_a_folder_and_a_name_of_its_own() -> None:
    folders = [variant.checkpoint.folder for variants in DECLARED.values() for variant in variants]
    assert len(set(folders)) == len(folders)
    for name, variants in DECLARED.items():
        assert [variant.checkpoint.folder == name for variant in variants] == [True] + [False] * (len(variants) - 1)
        assert len({variant.variant for variant in variants}) == len(variants)


@pytest.mark.parametrize("model", EVERY_VARIANT)
def test_every_variant_makes_its_own_defaults_natively(model: VideoModel) -> None:
    image = "x" if model.needs_image else None
    plan = plan_clip(VideoRequest(api="native", prompt="a cat", image=image), model)
    assert (plan.segments[0].num_frames, len(plan.segments)) == (model.default_frames, 1)
    assert not any("Made" in note for note in plan.notes) or model.name == "sketch"


@pytest.mark.parametrize("model", EVERY_VARIANT)
def test_what_its_licence_restricts_stands_in_every_answer(model: VideoModel) -> None:
    plan = plan_clip(VideoRequest(api="native", prompt="a cat", image="x" if model.needs_image else None), model)
    assert set(model.checkpoint.notes) <= set(plan.notes)
    restricted = model.checkpoint.licence != "Apache-2.0"
    assert bool(model.checkpoint.notes) == restricted


@pytest.mark.parametrize("model", EVERY_VARIANT)
def test_what_continues_a_variant_makes_the_same_sizes_at_the_same_rate_with_the_same_settings(
    model: VideoModel,
) -> None:
    other = continuing(VARIANTS[model.name], model)
    if not model.continued_by and not model.continued_from:
        assert other is None
        return
    assert other is not None and other.takes_image and other.continued_from
    assert (other.fps, other.default_steps, other.default_guidance_scale, other.family) == (
        model.fps,
        model.default_steps,
        model.default_guidance_scale,
        model.family,
    )
    assert fit(other, model.default_width, model.default_height) == fit(
        model, model.default_width, model.default_height
    )


@pytest.mark.parametrize("model", [*EVERY_VARIANT, *EVERY_SOUND_VARIANT])
def test_territory(model: VideoModel | SoundModel) -> None:
    """Tencent's licence leaves countries out, also where it is an autoencoder's alone. No other licence does: the
    setting that accepts it is called by Tencent's name."""
    checkpoint = model.checkpoint
    is_tencents = "tencent-hunyuan-community" in checkpoint.licence
    assert checkpoint.needs_acceptance is is_tencents
    left_out = ("European Union", "United Kingdom", "South Korea")
    assert not is_tencents or all(place in checkpoint.territory for place in left_out)


@pytest.mark.parametrize(("width", "height"), [(480, 720), (720, 480), (560, 560), (1280, 720), (256, 256)])
def test_a_model_of_one_size_makes_that_size_alone(width: int, height: int) -> None:
    canvas, notes = fit(COGVIDEOX_5B_I2V, width, height)
    assert (canvas.native_width, canvas.native_height) == (720, 480)
    assert (canvas.width, canvas.height) == (width, height)
    assert bool(notes) == ((width, height) != (720, 480))


@pytest.mark.parametrize("model", EVERY_SOUND_VARIANT)
def test_every_part_of_a_sound_model_has_networks(model: SoundModel) -> None:
    parts = [model.components(part) for part in Part]
    assert all(parts)
    assert {one for part in parts for one in part} == set(model.checkpoint.components)
    assert all(model.activation_bytes(part) > 0 for part in Part)


def test_no_video_model_is_a_sound_model() -> None:
    assert not set(SOUND_VARIANTS) & set(VARIANTS)
