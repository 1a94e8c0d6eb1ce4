"""The engine: one loaded model, and the clips it makes. One thread at a time may use it."""

import gc
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch

from videoworker.engine import (
    checkpoint,
    cogvideox,
    hunyuanvideo,
    hunyuanvideo_1_5,
    ltx,
    mochi,
    offload,
    places,
    weights,
)
from videoworker.engine.runner import Runner
from videoworker.errors import Code, JobError
from videoworker.models import VARIANTS
from videoworker.models.declaration import Model
from videoworker.models.pace import Pace
from videoworker.models.placement import GIB, Placement, activations, choose, default_activations, needed
from videoworker.models.plan import Plan, make_plan
from videoworker.models.suited import following, suited
from videoworker.request import VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch

# Above this many bytes of weights a model without a GPU would take hours for a clip.
_LARGEST_ON_CPU = 2_000_000_000

# How many prompts' conditioning stays on the device: some MB each.
_PROMPTS_KEPT = 16

# What `_encoder` makes: of the prompts, and of a picture's bytes and shape.
_Encode = Callable[[tuple[str, ...], bytes, tuple[int, ...]], tuple[Any, int]]

# A model's `runner` by name.
RUNNERS: dict[str, Runner] = {
    "cogvideox": cogvideox,
    "hunyuanvideo": hunyuanvideo,
    "hunyuanvideo-1.5": hunyuanvideo_1_5,
    "ltx": ltx,
    "mochi": mochi,
}

_log = structlog.get_logger()


class Timings(dict[str, float]):
    """Seconds by stage."""

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        started = time.monotonic()
        try:
            yield
        finally:
            self[stage] = self.get(stage, 0.0) + time.monotonic() - started


class Engine:
    """Owns the loaded model. `model` is None until the first `load`; `pace` is what jobs have taken on this device."""

    def __init__(self, settings: Settings) -> None:
        self.model: Model | None = None
        self.pace = Pace()
        self.revision = ""
        self._settings = settings
        self._folder = Path()
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._placement = Placement.RESIDENT
        self._networks: Any = None
        self._encode: _Encode | None = None

    def choose(self, name: str, request: VideoRequest | None = None) -> Model:
        """The variant of a model that suits the request best, of those whose weights are here; where none is, the one
        to fetch. Raises `JobError` INVALID_FIELD for an unknown name."""
        if name not in VARIANTS:
            raise JobError(Code.INVALID_FIELD, f"There is no model {name!r}; there are: {', '.join(VARIANTS)}.")
        variants = VARIANTS[name] if request is None else suited(VARIANTS[name], request)
        return next((variant for variant in variants if places.locate(variant, self._settings)), variants[0])

    def require(self, model: Model) -> None:
        """Raises `JobError` MODEL_NOT_LOADED where the model's weights are neither here nor may be fetched."""
        if self.model is not model and not self._settings.allow_download:
            weights.find(model, self._settings)

    def load(self, name: str, request: VideoRequest | None = None) -> None:
        """Puts the weights of a model's variant for the request on the device, in place of others. Raises `JobError`
        MODEL_NOT_LOADED where they are absent or any installed variant of the model is not whole, GPU_UNAVAILABLE where
        the machine cannot run them, OUT_OF_MEMORY where its memory is too small for the request, INVALID_FIELD for an
        unknown name."""
        model = self.choose(name, request)
        if self.model is model:
            return
        folder = weights.find(model, self._settings).folder
        if model.runner is None:
            raise JobError(Code.MODEL_NOT_LOADED, f"This version cannot run {model.name} yet.")
        if self._device.type == "cpu" and places.size(folder) > _LARGEST_ON_CPU:
            raise JobError(Code.GPU_UNAVAILABLE, f"CUDA GPU not available: {model.name} needs one.")
        for variant in VARIANTS[name]:
            if installed := places.locate(variant, self._settings):
                checkpoint.verify(variant, installed.folder)
        self._put(model, folder, self._first_placement(model, folder, request))

    def plan(self, request: VideoRequest, model: Model) -> Plan:
        """What `generate` will do. Raises `JobError` naming the field where the model, with the variant that continues
        its clips where that is installed or may be fetched, cannot do what is asked."""
        continuing = following(VARIANTS[model.name], model)
        is_at_hand = continuing is not None and (
            self._settings.allow_download or places.locate(continuing, self._settings) is not None
        )
        return make_plan(request, model, continuing if is_at_hand else None)

    def _first_placement(self, model: Model, folder: Path, request: VideoRequest | None) -> Placement:
        """For a request, or for the jobs that will come; where the model's default clip is too large, smaller ones may
        not be."""
        if request is not None:
            plan = self.plan(request, model)
            return self._placement_for(model, folder, activations(plan), plan.low_vram)
        try:
            return self._placement_for(model, folder, default_activations(model), low_vram=False)
        except JobError as error:
            _log.warning("placement", reason=error.message)
            return Placement.GROUP_OFFLOAD

    def _placement_for(self, model: Model, folder: Path, activation_bytes: int, low_vram: bool) -> Placement:
        """Raises `JobError` OUT_OF_MEMORY where there is none."""
        if self._settings.placement is not None:
            return Placement(self._settings.placement)
        first = Placement.GROUP_OFFLOAD if low_vram else Placement.RESIDENT
        if self._device.type == "cpu":
            return first
        weights, free = offload.weights(model, folder, _dtype(self._device)), offload.available(self._device)
        chosen = choose(weights, activation_bytes, free, first)
        gib = {
            "needed_gib": round(needed(weights, activation_bytes, chosen) / GIB, 1),
            "free_gib": round(free / GIB, 1),
        }
        _log.info("placement", model=model.name, placement=chosen, low_vram=low_vram, **gib)
        return chosen

    def _ready(self, model: Model, plan: Plan, placement: Placement | None, timings: Timings) -> tuple[Any, _Encode]:
        """The networks of `model` and its prompt encoder; placed for the plan where `placement` is None. They are read
        anew where they are another variant's, or lie otherwise, so that nothing of a failed clip is left in them."""
        is_loaded = self.model is not None and self.model.folder == model.folder
        folder = self._folder if is_loaded else weights.find(model, self._settings).folder
        wanted = placement or self._placement_for(model, folder, activations(plan), plan.low_vram)
        if not is_loaded or not self._placement.serves(wanted):
            with timings.measure("load"):
                self._put(model, folder, wanted)
        if self._encode is None:
            raise JobError(Code.MODEL_NOT_LOADED, "No model is loaded.")
        return self._networks, self._encode

    def _put(self, model: Model, folder: Path, placement: Placement) -> None:
        """Reads the weights of `model`, which are whole, to where `placement` says; the old ones are freed before."""
        runner = RUNNERS[model.runner or ""]
        self._drop()
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        started = time.monotonic()
        try:
            networks = offload.load(runner, folder, self._device, _dtype(self._device), placement)
        except (torch.OutOfMemoryError, JobError):
            raise
        except Exception as error:  # whatever a damaged or foreign file makes the libraries raise; the log has it whole
            _log.exception("weights not readable", model=model.name)
            message = f"The weights of {model.title} cannot be read. To fetch them again: {model.how_to_fetch}"
            raise JobError(Code.MODEL_NOT_LOADED, message) from error
        self._networks, self._encode, self._placement = networks, _encoder(runner, networks), placement
        self.model, self._folder, self.revision = model, folder, weights.revision(folder)
        _log.info(
            "weights loaded",
            model=model.name,
            variant=model.variant,
            placement=placement,
            revision=self.revision,
            licence=model.licence,
            restrictions=model.notes,
            seconds=round(time.monotonic() - started, 2),
        )

    def best_installed(self) -> str:
        """The name of the best model whose weights are here and that this machine can run. Raises `JobError`."""
        for model in (variant for variants in VARIANTS.values() for variant in variants):
            runs = model.runner is not None and (torch.cuda.is_available() or not model.needs_gpu)
            if runs and places.locate(model, self._settings):
                return model.name
        raise JobError(Code.MODEL_NOT_LOADED, "No model is installed.")

    def generate(
        self,
        plan: Plan,
        prompt: str,
        negative_prompt: str,
        image: np.ndarray | None,
        seed: int,
        watch: Watch,
        timings: Timings,
        notes: list[str],
    ) -> Iterator[np.ndarray]:
        """The plan's frames at its native size, RGB uint8 [height, width, 3], as they are decoded. `image` is the
        clip's first frame at the native size. Where memory runs out, the clip is made once more with a leaner
        placement, and frames already given are not given again. Adds to `timings` and `notes`. Raises `JobError`."""
        if self.model is None:
            raise JobError(Code.MODEL_NOT_LOADED, "No model is loaded.")
        if plan.following not in (None, plan.model):
            with timings.measure("load"):  # where it has to be fetched, that is before minutes go into the first part
                weights.find(plan.following, self._settings)
        clip = plan, prompt, negative_prompt, image, seed, watch, timings, notes
        given, before = 0, list(notes)
        try:
            for frame in self._clip(*clip):
                yield frame
                given += 1
            return
        except torch.OutOfMemoryError as error:
            leaner = self._placement.leaner
            if leaner is None or (given and not leaner.is_exact):
                raise self._out_of_memory() from error
            _log.warning("out of memory", placement=self._placement, next=leaner)
        notes[:] = [*before, f"The GPU's memory ran out; made again with the placement {leaner}."]
        try:
            yield from islice(self._clip(*clip, leaner), given, None)
        except torch.OutOfMemoryError as error:
            raise self._out_of_memory() from error

    def _out_of_memory(self) -> JobError:
        """The end of a clip; the networks are given up, in which it may have left layers on their way."""
        message = f"Out of GPU memory, with the placement {self._placement} too. Reduce resolution or duration."
        self._drop()
        return JobError(Code.OUT_OF_MEMORY, message, refresh_worker=True)

    def _drop(self) -> None:
        self.model, self._networks, self._encode = None, None, None

    def _clip(
        self,
        plan: Plan,
        prompt: str,
        negative_prompt: str,
        image: np.ndarray | None,
        seed: int,
        watch: Watch,
        timings: Timings,
        notes: list[str],
        placement: Placement | None = None,
    ) -> Iterator[np.ndarray]:
        """As `generate`, once, with the placement given."""
        prompts = (negative_prompt, prompt) if plan.sampling.guidance_scale > 1 else (prompt,)
        generator = torch.Generator("cpu").manual_seed(seed)
        known = None if image is None else image[np.newaxis]
        for index in range(len(plan.parts)):
            last = yield from self._part(plan, index, prompts, known, generator, watch, timings, notes, placement)
            known = np.stack(last) if last else None

    def _part(
        self,
        plan: Plan,
        index: int,
        prompts: tuple[str, ...],
        known: np.ndarray | None,
        generator: torch.Generator,
        watch: Watch,
        timings: Timings,
        notes: list[str],
        placement: Placement | None,
    ) -> Generator[np.ndarray, None, list[np.ndarray]]:
        """One part's frames; returns the last ones, that the next part continues from. `known` are its own first."""
        model = plan.model if index == 0 or plan.following is None else plan.following
        networks, encode = self._ready(model, plan, placement, timings)
        runner = RUNNERS[model.runner or ""]
        part, canvas, count = plan.parts[index], plan.canvas, len(plan.parts)
        with timings.measure("encode_prompt"):
            seen = known[0] if known is not None and runner.DESCRIBES_IMAGE else np.empty(0, np.uint8)
            conditioning, cut = encode(prompts, seen.tobytes(), seen.shape)
        if index == 0:
            watch.step("encode_prompt", 1, 1)
            if cut:
                notes.append(f"The model read the prompt without its last {cut} tokens, which do not fit.")
            if not self._placement.is_exact:
                notes.append("The model's weights were rounded to 8 bits, to fit into the GPU's memory.")
        with timings.measure("denoise"):
            noise = runner.get_noise(networks, part.num_frames, canvas.native_width, canvas.native_height, generator)
            given = None if known is None else runner.encode_frames(networks, known)
            latents = runner.denoise(
                networks, noise, conditioning, given, plan.sampling, watch, (index, count), generator
            )
        if given is not None:  # what was given is known: the model's own account of it would only be less exact
            latents = torch.cat([given, latents[:, given.shape[1] :]], dim=1)
        decoded = _measured(runner.decode(networks, latents, watch, (index, count), generator), timings)
        wanted = plan.parts[index + 1].given if index + 1 < count else 0
        last: list[np.ndarray] = []
        for number, frame in enumerate(decoded):
            if number >= part.given + part.kept:
                break
            last = [*last, frame][-wanted:] if wanted else []
            if number >= part.given:
                yield frame
        return last


def _encoder(runner: Runner, networks: Any) -> _Encode:
    """`encode_prompt` of one loaded model, which remembers its last answers: jobs often come with the same words. The
    picture's shape is (0,) where there is none to describe."""

    @lru_cache(_PROMPTS_KEPT)
    def encode(prompts: tuple[str, ...], picture: bytes, shape: tuple[int, ...]) -> tuple[Any, int]:
        image = np.frombuffer(picture, np.uint8).reshape(shape) if picture else None
        return runner.encode_prompt(networks, list(prompts), image)

    return encode


def _measured(frames: Iterator[np.ndarray], timings: Timings) -> Iterator[np.ndarray]:
    """The same frames; the time spent making them counts as decoding."""
    while True:
        with timings.measure("decode"):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def _dtype(device: torch.device) -> torch.dtype:
    """bfloat16 wherever the device computes in it; on other CPUs float32, which is faster there."""
    capabilities = torch.cpu.get_capabilities()
    if device.type == "cuda" or capabilities.get("avx512_bf16") or capabilities.get("amx_tile"):
        return torch.bfloat16
    return torch.float32
