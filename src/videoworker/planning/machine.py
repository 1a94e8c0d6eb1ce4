"""Which model makes a job's video, by what the machine has."""

from collections.abc import Callable
from dataclasses import dataclass

from videoworker.effort import Effort
from videoworker.errors import Code, JobError
from videoworker.models import DECLARED, SOUND_VARIANTS, VARIANTS
from videoworker.models.checkpoint import Checkpoint
from videoworker.models.sound_model import SoundModel
from videoworker.models.video_model import VideoModel
from videoworker.planning.variants import continuing, of_effort, suited
from videoworker.request import VideoRequest
from videoworker.settings import Settings


def without_gpu(name: str) -> JobError:
    """The error of a machine that has no GPU for the model `name`, and may not do without."""
    return JobError(
        Code.GPU_UNAVAILABLE,
        f"CUDA GPU not available: {name} needs one. With the setting CPU=allow the processor runs it, which can "
        "take hours.",
    )


@dataclass(frozen=True)
class Machine:
    """What planning has to know of a machine: which checkpoints lie on it, whether others may be fetched, and whether
    there is a GPU, or CPU=allow lets the processor stand for one."""

    is_installed: Callable[[Checkpoint], bool]
    may_fetch: bool
    has_gpu: bool

    def usable(self) -> list[str]:
        """The names of the models of which a variant is here or may be fetched."""
        return [name for name, variants in VARIANTS.items() if any(self.has(one.checkpoint) for one in variants)]

    def best_installed(self) -> str:
        """The name of the best video model that is installed and runs here. Raises `JobError`: MODEL_NOT_LOADED if none
        is installed, GPU_UNAVAILABLE if none of them runs here."""
        every = [variant for variants in VARIANTS.values() for variant in variants]
        installed = [model for model in every if self.is_installed(model.checkpoint)]
        for model in installed:
            if self.has_gpu or not model.needs_gpu:
                return model.name
        if installed:
            raise without_gpu(installed[0].name)
        raise JobError(Code.MODEL_NOT_LOADED, "No video model is installed.")

    def variant_for(self, name: str, request: VideoRequest | None = None, effort: Effort | None = None) -> VideoModel:
        """The variant of the video model `name` that serves a request. Without a request, the variant to start with.
        `effort` is the worker's tier, for requests that ask for none; None: the variant's default.

        Of the variants that suit the request it is the first that is installed. If none is, it is the first of them.

        Raises `JobError`: INVALID_FIELD if there is no such model, or no variant of the tier that is asked for;
        MODEL_NOT_LOADED if it is a model of sounds, if there is no variant of the worker's tier, or if the weights are
        absent and may not be fetched.
        """
        if name in SOUND_VARIANTS:
            message = (
                f"No video model is served here: {name} makes no videos, but adds sound to a `video` that is given."
            )
            raise JobError(Code.MODEL_NOT_LOADED, message)
        if name not in VARIANTS:
            raise JobError(Code.INVALID_FIELD, f"There is no model {name!r}; there are: {', '.join(DECLARED)}.")
        variants = VARIANTS[name] if request is None else suited(VARIANTS[name], request)
        variants = of_effort(variants, None if request is None else request.effort, effort)
        model = next((variant for variant in variants if self.is_installed(variant.checkpoint)), variants[0])
        if not self.has(model.checkpoint):
            raise JobError(Code.MODEL_NOT_LOADED, model.checkpoint.absence)
        return model

    def sound_variant_for(self, name: str) -> SoundModel:
        """The first variant of the sound model `name` that is installed, else its first. Raises `JobError`
        MODEL_NOT_LOADED if its weights are absent and may not be fetched."""
        variants = SOUND_VARIANTS[name]
        model = next((variant for variant in variants if self.is_installed(variant.checkpoint)), variants[0])
        if not self.has(model.checkpoint):
            raise JobError(Code.MODEL_NOT_LOADED, model.checkpoint.absence)
        return model

    def to_load(self, settings: Settings, of_api: str | None, takes_video: bool) -> VideoModel | SoundModel:
        """The variant that a worker loads at its start: of the one model that it serves, else the `first`. Raises
        `JobError` as these do."""
        if settings.model:
            return self.served(settings.model, settings.effort)
        return self.first(of_api, takes_video, settings.effort)

    def served(self, name: str, effort: Effort | None = None) -> VideoModel | SoundModel:
        """The variant to start with of the one model that is served. `effort` is the worker's tier. Raises `JobError`
        as `variant_for` does."""
        return self.sound_variant_for(name) if name in SOUND_VARIANTS else self.variant_for(name, None, effort)

    def first(self, of_api: str | None, takes_video: bool, effort: Effort | None = None) -> VideoModel | SoundModel:
        """The variant to start with if no one model is served. `of_api` is the API's own model; None: the best that is
        installed. If jobs may give a video, and there is neither a video model nor leave to fetch one, it is the best
        sound model. `effort` is the worker's tier. Raises `JobError` MODEL_NOT_LOADED."""
        videos = (variant for variants in VARIANTS.values() for variant in variants)
        is_without = takes_video and not any(self.has(variant.checkpoint) for variant in videos)
        if is_without and (sound := self.sound_model()) is not None:
            return sound
        return self.variant_for(of_api or self.best_installed(), None, effort)

    def sound_models(self, video_model: str | None = None) -> list[SoundModel]:
        """All for this model's videos, the best first. Without a model the video is a caller's: then those that are
        made for other videos come last."""
        every = (variant for variants in SOUND_VARIANTS.values() for variant in variants)
        return sorted(
            (model for model in every if video_model is None or model.suits(video_model)),
            key=lambda model: (
                bool(model.made_for) is (video_model is None),
                model.needs_gpu and not self.has_gpu,
                model.rank,
            ),
        )

    def sound_model(self, video_model: str | None = None) -> SoundModel | None:
        """The best sound model for this model's videos, or for a caller's: one that is installed before one that may be
        fetched, unless what is installed is made for other videos. None if there is none."""
        models = self.sound_models(video_model)
        installed = [model for model in models if self.is_installed(model.checkpoint)]
        suited = [model for model in installed if video_model is not None or not model.made_for]
        published = [model for model in models if model.checkpoint.repository and (self.has_gpu or not model.needs_gpu)]
        return next(iter([*suited, *(published if self.may_fetch else []), *installed]), None)

    def continuing_variant(self, model: VideoModel) -> VideoModel | None:
        """The variant that continues the model's clips, if there is one and it can be used here."""
        variant = continuing(VARIANTS[model.name], model)
        return variant if variant is not None and self.has(variant.checkpoint) else None

    def has(self, checkpoint: Checkpoint) -> bool:
        """Whether it lies here, or may be fetched."""
        return self.is_installed(checkpoint) or self.may_fetch
