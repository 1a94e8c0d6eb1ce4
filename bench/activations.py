"""Memory that a model's default clip takes beside its weights, at the published size: `python -m bench.activations`.

Counted, not measured: our own loops run on tensors that have a shape and no numbers, which needs neither a GPU nor
weights. A count knows nothing of the workspaces of a GPU's kernels, nor of what its allocator cannot use; the choice of
a placement keeps a reserve for both. Attention counts as a fused kernel's, without a table of pairs.
"""

import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import torch
import typer
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from videoworker.engine.parts import Parts
from videoworker.models.declaration import Model
from videoworker.models.placement import GIB
from videoworker.models.plan import Sampling

from builder.make_tiny import FAMILIES
from videoworker.engine import hunyuanvideo, hunyuanvideo_1_5
from videoworker.engine.engine import RUNNERS
from videoworker.models import VARIANTS
from videoworker.watch import Watch

_aten = torch.ops.aten
_DTYPE = torch.bfloat16

# How the published transformers differ from the defaults of diffusers' classes: config.json of each repository.
_5B = {"num_attention_heads": 48, "num_layers": 42, "use_rotary_positional_embeddings": True}
_1_5_5B = _5B | {"patch_size_t": 2, "patch_bias": False, "sample_width": 300, "sample_height": 300}
TRANSFORMERS: dict[tuple[str, str], dict[str, Any]] = {
    ("cogvideox", "2b"): {},
    ("cogvideox", "5b"): _5B,
    ("cogvideox", "1.5-5b"): _1_5_5B,
    ("hunyuanvideo", "t2v"): {},
    ("hunyuanvideo-1.5", "720p-t2v"): {},
    ("hunyuanvideo-1.5", "480p-t2v"): {},
    ("ltx", ""): {},
    ("mochi", ""): {},
}


def _states(tokens: int, width: int = 4096) -> torch.Tensor:
    return torch.empty(1, tokens, width, dtype=_DTYPE)


# What the longest prompt comes to, once for each prompt.
_CONDITIONING: dict[str, Callable[[int], Any]] = {
    "cogvideox": lambda prompts: _states(226).expand(prompts, -1, -1).clone(),
    "hunyuanvideo": lambda prompts: [
        hunyuanvideo.Conditioning(_states(256), torch.ones(1, 256), _states(1, 768)[0]) for _ in range(prompts)
    ],
    "hunyuanvideo-1.5": lambda prompts: [
        hunyuanvideo_1_5.Conditioning(_states(1000, 3584), _states(256, 1472), _states(0, 1152)) for _ in range(prompts)
    ],
    "ltx": lambda prompts: [_states(128) for _ in range(prompts)],
    "mochi": lambda prompts: [_states(256) for _ in range(prompts)],
}


@dataclass(frozen=True)
class Counted:
    """Bytes beside the weights at the worst moment of a step and of decoding, and the transformer's own."""

    denoise: int
    decode: int
    transformer: int


class _Shapes(FakeTensorMode):
    """Tensors without numbers. Where a program asks for one, the answer is yes, and every mask chooses all, but what
    was made by inverting one nothing."""

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        packet = func.overloadpacket
        if packet in (_aten._local_scalar_dense, _aten.item, _aten.is_nonzero):
            return True
        if packet is _aten.index and args[1][0] is not None and args[1][0].dtype is torch.bool:
            return args[0][:0] if getattr(args[1][0], "chooses_none", False) else args[0].clone()
        made = super().dispatch(func, types, args, kwargs or {})
        if packet is _aten.bitwise_not:
            made.chooses_none = True
        return made


class _Count(TorchDispatchMode):
    """Counts the bytes of the storages that operations make, while they are alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._alive: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor):
                self._add(tensor.untyped_storage())
        self.peak = max(self.peak, self.now)
        return made

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._alive:
            self._alive[key] = storage.nbytes()
            self.now += storage.nbytes()
            weakref.finalize(storage, self._remove, key)

    def _remove(self, key: int) -> None:
        self.now -= self._alive.pop(key)


@contextmanager
def _published(transformer: dict[str, Any]) -> Iterator[None]:
    """While it is entered, networks are loaded as they are published but without numbers, and encoders not at all."""

    def network(_: Parts, kind: Any, name: str) -> Any:
        return kind(**(transformer if name == "transformer" else {})).eval()

    torch.set_default_dtype(_DTYPE)
    try:
        with patch.object(Parts, "network", network), patch.object(Parts, "encoder", lambda *_: None):
            yield
    finally:
        torch.set_default_dtype(torch.float32)


def count(model: Model, transformer: dict[str, Any]) -> Counted:
    """What the model's default clip takes."""
    runner, generator = RUNNERS[model.runner or ""], torch.Generator().manual_seed(0)
    watch = Watch("bench", lambda _: None, float("inf"))
    shape = model.default_frames, model.default_width, model.default_height
    prompts = 2 if model.default_guidance_scale > 1 else 1
    with tempfile.TemporaryDirectory() as folder:
        FAMILIES[model.name].save(Path(folder), model.variant)  # for all that is not a network
        with _Shapes(allow_non_fake_inputs=True), torch.inference_mode():
            with _published(transformer):
                networks = runner.load(Path(folder), torch.device("cpu"), _DTYPE)
            noise = runner.get_noise(networks, *shape, generator)
            conditioning = _CONDITIONING[model.name](prompts)
            sampling = Sampling(1, model.default_guidance_scale)
            with _Count() as denoising:
                latents = runner.denoise(networks, noise, conditioning, None, sampling, watch, (0, 1), generator)
            with _Count() as decoding, patch.object(runner, "to_frames", lambda _: []):
                list(runner.decode(networks, latents, watch, (0, 1), generator))
            weights = sum(one.numel() * one.element_size() for one in networks.transformer.parameters())
    return Counted(denoising.peak, decoding.peak, weights)


def main(
    family: Annotated[list[str] | None, typer.Option(help="which one; may be given again. Else all")] = None,
) -> None:
    """Prints a row for each model: GiB of denoising and of decoding, and the bytes per pixel that its file declares for
    them, beside those that were counted."""
    print("| model | default clip | denoise, GiB | bytes per pixel | decode, GiB | bytes per pixel of a frame |")
    print("|---|---|---|---|---|---|")
    for (name, variant), transformer in TRANSFORMERS.items():
        if name in (family or RUNNERS):
            (model,) = (one for one in VARIANTS[name] if one.variant == variant)
            counted, pixels = count(model, transformer), model.default_width * model.default_height
            per_clip, per_frame = counted.denoise / pixels / model.default_frames, counted.decode / pixels
            cells = [
                f"{name} {variant}".strip(),
                f"{model.default_width}x{model.default_height}x{model.default_frames}",
                f"{counted.denoise / GIB:.1f}",
                f"{per_clip:.0f}, declared {model.denoise_bytes:g}",
                f"{counted.decode / GIB:.1f}",
                f"{per_frame:.0f}, declared {model.decode_bytes:g}",
            ]
            print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    typer.run(main)
