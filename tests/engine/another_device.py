"""A device that is not the host, on machines that have none: its tensors lie in the host's memory and are computed
there, but as on a GPU no operation takes one of them together with one of the host's.

`python -m tests.engine.another_device "FAMILY VARIANT"...` makes a short clip with each, on the host and there, and
prints a JSON object of `Made` by these names. It tells torch of the device for its whole process.
"""

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

from builder.make_tiny import FAMILIES
from tests.watches import watch_that
from videoworker.families import family
from videoworker.models import MODELS
from videoworker.models.piece import LEAST
from videoworker.models.sampling import Sampling
from videoworker.request import Progress
from videoworker.sampling.denoise import Inputs, denoise
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.pixels import to_frames
from videoworker.sampling.reader import Reader

STEPS = 2
HOST = torch.device("cpu")
THERE = torch.device("privateuseone", 0)  # what torch calls a device of somebody else's

_aten = torch.ops.aten
_COPIES = (_aten._to_copy, _aten.copy_, _aten.to, _aten._has_compatible_shallow_copy_type)
_ASK = (_aten._local_scalar_dense, _aten.item, _aten.is_nonzero, _aten.nonzero, _aten.masked_select)
_TAKE_INDICES_OF_THE_HOST = (_aten.index, _aten.index_put, _aten.index_put_)


class Tensor(torch.Tensor):
    """A tensor that lies there; `held` has its numbers."""

    held: torch.Tensor

    @staticmethod
    def __new__(cls, held: torch.Tensor) -> "Tensor":
        made: Tensor = torch.Tensor._make_wrapper_subclass(
            cls,
            held.shape,
            strides=held.stride(),
            storage_offset=held.storage_offset(),
            dtype=held.dtype,
            device=THERE,
        )
        made.held = held
        return made

    # torch's own would run operations on the tensor; it has no types
    def __repr__(self, *, tensor_contents: Any = None) -> str:  # type: ignore[override]
        return f"Tensor({self.held})"

    @classmethod  # torch declares it as a function of no class
    def __torch_dispatch__(  # type: ignore[override]
        cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return Device.run(operation, args, kwargs or {})


class Device(TorchDispatchMode):
    """While it is entered, what is asked to be made there or brought there is. `waited` counts how often
    the host asked for a number, or for how many places a mask chooses: a GPU answers once all before it is computed."""

    waited = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if isinstance(args[0] if args else None, Tensor):
            chosen = operation.overloadpacket in _TAKE_INDICES_OF_THE_HOST and any(
                isinstance(index, Tensor) and index.dtype is torch.bool for index in args[1]
            )
            self.waited += chosen or operation.overloadpacket in _ASK
        return self.run(operation, args, kwargs or {})

    @staticmethod
    def run(operation: Any, args: Any, kwargs: Any) -> Any:
        """Raises `RuntimeError` where a GPU would: for tensors of both devices. A single number of the host's may go
        with any."""
        given = tree_leaves((args, kwargs))
        packet = operation.overloadpacket
        checked = tree_leaves(args[0]) if packet in _TAKE_INDICES_OF_THE_HOST else given
        tensors = [one for one in checked if isinstance(one, torch.Tensor)]
        there = [one for one in tensors if isinstance(one, Tensor)]
        if packet not in _COPIES and there and any(one.dim() for one in tensors if not isinstance(one, Tensor)):
            raise RuntimeError(f"{operation} takes tensors of both devices")
        asked = next((one for one in given if isinstance(one, torch.device)), None)
        if packet is _aten.copy_:
            asked = args[0].device
        made = operation(*tree_map(_held, args), **tree_map(_held, kwargs))
        if not (asked.type == THERE.type if asked else there):
            return made
        if isinstance(args[0], Tensor) and made is args[0].held:
            return args[0]  # changed in place
        with torch.inference_mode(False):  # else no view of weights could be made in inference mode
            return tree_map(_there, made)


def _held(one: Any) -> Any:
    if isinstance(one, torch.device):
        return HOST
    return one.held if isinstance(one, Tensor) else one


def _there(one: Any) -> Any:
    return Tensor(one) if isinstance(one, torch.Tensor) else one


@dataclass(frozen=True)
class Made:
    """What a clip came to there, and whether it is the host's to the last bit. `waited`: how often the host had asked
    for a number by the end of each step."""

    is_the_same: bool
    shape: tuple[int, ...]
    deviation: float
    waited: list[int]


class _Module(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float32, torch.bfloat16]


def _allocate(size: list[int], stride: list[int], *, dtype: torch.dtype, **_: Any) -> torch.Tensor:
    return Tensor(torch.empty_strided(size, stride, dtype=dtype))


def _copy(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    _held(target).copy_(_held(source))
    return target


def clip(folder: Path, name: str, variant: str, device: torch.device, waits: Callable[[], int]) -> Any:
    """Latents, frames, and `waits()` at the end of each step."""
    model = MODELS[name]
    run = family(model.family)
    places = model.checkpoint.places
    networks = run.load(Reader(folder, device, defaultdict(lambda: torch.bfloat16), places=places))
    width = height = 2 * model.grid
    if variant == "5b-i2v":  # makes pictures of one size alone
        width, height = (8 * networks.transformer.config[f"sample_{side}"] for side in ("width", "height"))
    picture = np.full((height, width, 3), 99, np.uint8)
    sees = any(word in variant for word in ("i2v", "sketch", "0.9.1"))
    waited: list[int] = []

    def report(progress: Progress) -> None:
        if progress.stage == "denoise":
            waited.append(waits())

    watch, generator = watch_that(report), torch.Generator().manual_seed(0)
    texts = ["a blue square", 'a red circle that says "go"']
    prompts, _ = run.encode_prompts(networks, texts, picture if sees and run.describes_image else None)
    noise = run.get_noise(networks, Shape(model.min_frames + model.frame_step, width, height), generator)
    frames, known = None, None
    if sees and run.encode_frames:
        frames = picture[np.newaxis]
        known = run.encode_frames(networks, frames)
    inputs = Inputs(noise, prompts, known, Sampling(STEPS, 6.0), generator, frames)
    latents = denoise(run.start(networks, inputs), watch)
    assert latents.device == device
    decoded = [to_frames(pixels) for pixels in run.decode(networks, latents, generator, watch, LEAST)]
    return latents.cpu(), np.concatenate(decoded), waited


def main(*names: str) -> None:
    _setup_privateuseone_for_python_backend(backend_module=_Module())
    operations, others = torch.library.Library("aten", "IMPL"), torch.library.Library("_", "IMPL")
    operations.impl("empty_strided", _allocate, "PrivateUse1")  # `torch.tensor` allocates and copies past every mode
    operations.impl("_copy_from", _copy, "PrivateUse1")
    others.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    made = {}
    for name in names:
        family, variant = name.split(" ")
        with tempfile.TemporaryDirectory() as folder:
            FAMILIES[family].save(Path(folder), variant)
            latents, frames, _ = clip(Path(folder), family, variant, HOST, lambda: 0)
            with Device() as device:  # type: ignore[no-untyped-call]  # torch's `__init__` has no types
                latents_there, frames_there, waited = clip(Path(folder), family, variant, THERE, lambda: device.waited)
        is_the_same = torch.equal(latents_there, latents) and np.array_equal(frames_there, frames)
        made[name] = asdict(Made(is_the_same, frames.shape, float(frames.std()), waited))
    print(json.dumps(made))


if __name__ == "__main__":
    main(*sys.argv[1:])
