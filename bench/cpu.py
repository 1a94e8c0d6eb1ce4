"""What HunyuanVideo takes without a GPU, beside the times of its document: `OMP_NUM_THREADS=1 python -m bench.cpu`.

Measured are pieces of the published width, with random weights, on one thread: a layer, attention at the token count of
the document's smallest clip, a block at a quarter of its tokens, and a piece of decoding. The rest is arithmetic:

- what is linear in tokens grows with them, and attention with their square;
- a prediction has 60 blocks, and those of one stream compute as much per token as the one measured, of two streams;
- decoding grows with pixels and frames;
- cores share the work evenly.

Seconds are those of the processor's time, so that other programs on the machine do not count.
"""

import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import typer
from diffusers import AutoencoderKLHunyuanVideo
from diffusers.models.transformers.transformer_hunyuan_video import HunyuanVideoTransformerBlock
from torch.nn.functional import scaled_dot_product_attention

from videoworker.models.hunyuanvideo import HUNYUANVIDEO
from videoworker.models.hunyuanvideo_1_5 import HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED
from videoworker.models.video_model import Flops
from videoworker.planning.memory import GIB
from videoworker.planning.placement import Placement, activations, declared_bytes, needed
from videoworker.planning.plan import Plan, plan_clip
from videoworker.planning.processor_seconds import operations, processor_seconds, tokens_of
from videoworker.request import VideoRequest
from videoworker.sampling.joint_attention import JointAttention

WIDTH, HEADS, BLOCKS = 3072, 24, 60
_TOKENS = 30 * 23 * 16  # of 480x368, 61 frames
_PART = 4  # of the tokens in a layer and in a block
_HEADS_PART = 8  # of the heads in attention
_TEXT, _PADDED_TEXT = 24, 256  # tokens of a short prompt, and those that diffusers' pipeline makes of it
_DECODED = (64, 64, 5)  # width, height, frames

# The document's clips, and its minutes on 8 cores.
ROWS = {
    (480, 360, 61, 25): "8 to 12",
    (640, 480, 61, 30): "12 to 18",
    (720, 480, 61, 35): "18 to 25",
    (960, 544, 61, 40): "25 to 35",
}
_CORES = (2, 8)
_MEMORY = 32e9  # bytes of the document's machine


@dataclass(frozen=True)
class Pace:
    """Seconds of one core: of a block for each token and for each pair of tokens, and of decoding for each pixel."""

    token: float
    pair: float
    pixel: float

    def minutes(self, plan: Plan, cores: int) -> float:
        """Of a clip."""
        (segment,) = plan.segments
        tokens, pixels = tokens_of(plan, segment), plan.canvas.native_pixels * segment.num_frames
        step = BLOCKS * (self.token * tokens + self.pair * tokens**2)
        return (step * plan.sampling.predictions + self.pixel * pixels) / cores / 60


@torch.inference_mode()
def main() -> None:
    """Prints what was measured, and the document's clips."""
    warnings.simplefilter("ignore")  # what torch quantizes with is to move elsewhere
    flops = HUNYUANVIDEO.flops
    assert flops is not None
    print(f"{_processor()}, {torch.get_num_threads()} thread, torch {torch.__version__}\n")
    print("| measured | dtype | s | GFLOP/s |")
    print("|---|---|---|---|")
    of_layer = {name: _layer(name) for name in ("float32", "bfloat16", "int8")}
    paces = {}
    for dtype in (torch.float32, torch.bfloat16):
        paces[_name(dtype)] = Pace(*_block(dtype, True, flops), _decoding(dtype, flops))
    in_half = paces["bfloat16"]
    faster = of_layer["int8"] / of_layer["bfloat16"]
    paces["int8 layers"] = Pace(in_half.token * faster, in_half.pair, in_half.pixel)
    paces["diffusers, bfloat16"] = Pace(*_block(torch.bfloat16, False, flops), in_half.pixel)
    _clips(paces, _layer_flops() / of_layer["bfloat16"])
    _distilled(_layer_flops() / of_layer["bfloat16"])


def _clips(paces: dict[str, Pace], of_layer: float) -> None:
    """Prints minutes of the document's clips, and what they need. `of_layer`: operations in a second."""
    print(f"\n| clip | document | operations, 10^15 | cores | {' | '.join(paces)} | bfloat16, `fast` |")
    print(f"|---|---|---|---|{'---|' * (len(paces) + 1)}")
    needs, shares = [], []
    for (width, height, frames, steps), document in ROWS.items():
        request = VideoRequest(
            "native", "a cat", width=width, height=height, num_frames=frames, num_inference_steps=steps
        )
        plan, fast = (plan_clip(one, HUNYUANVIDEO) for one in (request, replace(request, effort="fast")))
        stages = operations(plan)
        assert stages is not None
        count, name = sum(stages.values()), f"{width}x{height}x{frames}, {steps} steps"
        for cores in _CORES:
            minutes = [pace.minutes(plan, cores) for pace in paces.values()]
            minutes.append(paces["bfloat16"].minutes(fast, cores))
            cells = [name, f"{document} min", f"{count / 1e15:.1f}", str(cores)]
            print(f"| {' | '.join([*cells, *(f'{one:.0f}' for one in minutes)])} |", flush=True)
        shares.append(count / paces["bfloat16"].minutes(plan, 1) / 60 / of_layer)
        longest = 60 * int(document.rpartition(" ")[2])
        needs.append(f"| {name} | {count / longest / 8 / 1e9:.0f} | {_memory(plan)} |")
    print("\n| clip | GFLOP/s of each of 8 cores that the document's longer time takes | memory |\n|---|---|---|")
    print("\n".join(needs))
    print(f"\nA clip reaches {min(shares):.2f} to {max(shares):.2f} of the speed of one layer alone.")


def _distilled(of_layer: float) -> None:
    """Prints what the smallest clip takes with few steps, by the law that workers estimate with."""
    width, height, frames, _ = next(iter(ROWS))
    request = VideoRequest("native", "a cat", image="a picture", width=width, height=height, num_frames=frames)
    plan = plan_clip(request, HUNYUANVIDEO_1_5_480P_I2V_STEP_DISTILLED)
    for cores in _CORES:
        stages = processor_seconds(plan, cores * of_layer)
        assert stages is not None
        minutes = ", ".join(f"{stage} {seconds / 60:.0f} min" for stage, seconds in stages.items())
        print(f"{plan.model.checkpoint.title}, {plan.sampling.steps} steps, on {cores} cores: {minutes}")


def _memory(plan: Plan) -> str:
    """With the leaner placement in bfloat16, and what diffusers needs with all weights in memory."""
    weights, beside = declared_bytes(plan.model.checkpoint), activations(plan)
    ours, all_there = needed(weights, beside, Placement.MAPPED), needed(weights, beside, Placement.RESIDENT)
    fits = "fits" if all_there <= _MEMORY else "does not fit"
    return f"{ours / GIB:.1f} GiB; all weights in memory: {all_there / GIB:.1f} GiB, which {fits}"


def _layer_flops() -> float:
    return 2.0 * (_TOKENS // _PART) * WIDTH * 4 * WIDTH


def _layer(name: str) -> float:
    """Seconds of a layer from the block's width to four times that."""
    dtype = torch.bfloat16 if name == "bfloat16" else torch.float32
    layer: Any = torch.nn.Linear(WIDTH, 4 * WIDTH, dtype=dtype)
    if name == "int8":
        layer = torch.ao.quantization.quantize_dynamic(torch.nn.Sequential(layer), {torch.nn.Linear}, torch.qint8)
    states = torch.randn(_TOKENS // _PART, WIDTH, dtype=dtype)
    return _told("a layer", name, _layer_flops(), lambda: layer(states))


def _block(dtype: torch.dtype, is_ours: bool, flops: Flops) -> tuple[float, float]:
    """Seconds of a block for each token and for each pair. diffusers' pipeline pads the prompt, and masks that."""
    text, name = _TEXT if is_ours else _PADDED_TEXT, _name(dtype)
    who = "ours" if is_ours else "diffusers"
    mask = None if is_ours else (torch.arange(_TOKENS + text) < _TOKENS + _TEXT)[None, None, None]
    query, key, value = (
        torch.randn(1, HEADS // _HEADS_PART, _TOKENS + text, WIDTH // HEADS, dtype=dtype) for _ in range(3)
    )
    of_pairs = flops.pair / BLOCKS * len(query[0, 0]) ** 2 / _HEADS_PART
    taken = _told(f"attention, {who}", name, of_pairs, lambda: scaled_dot_product_attention(query, key, value, mask))
    pair = taken * _HEADS_PART / _TOKENS**2
    tokens = _TOKENS // _PART
    block = HunyuanVideoTransformerBlock(HEADS, WIDTH // HEADS, mlp_ratio=4.0).to(dtype).eval()
    if is_ours:
        block.attn.set_processor(JointAttention())
    states, words = torch.randn(1, tokens, WIDTH, dtype=dtype), torch.randn(1, text, WIDTH, dtype=dtype)
    time_and_text = torch.randn(1, WIDTH, dtype=dtype)
    turns = torch.randn(2, tokens, WIDTH // HEADS)
    seen = None if mask is None else mask[..., _TOKENS - tokens :]
    of_block = (flops.token * tokens + flops.pair * tokens**2) / BLOCKS
    block_seconds = _told(
        f"a block, {who}",
        name,
        of_block,
        lambda: block(states, words, time_and_text, seen, (turns[0], turns[1])),
    )
    return (block_seconds - pair * tokens**2) / tokens, pair


def _decoding(dtype: torch.dtype, flops: Flops) -> float:
    """Seconds for each pixel of a clip: of a piece of one tile, and what tiles overlap."""
    width, height, frames = _DECODED
    autoencoder = AutoencoderKLHunyuanVideo().to(dtype).eval()
    latents = torch.randn(1, 16, (frames - 1) // 4 + 1, height // 8, width // 8, dtype=dtype)
    pixels = width * height * frames
    taken = _told("decoding", _name(dtype), flops.pixel * pixels / _OVERLAP, lambda: autoencoder.decode(latents))
    return taken / pixels * _OVERLAP


# Tiles of 256 pixels stand 192 apart, of 16 frames 12.
_OVERLAP = (256 / 192) ** 2 * 16 / 12


def _told(what: str, dtype: str, flops: float, run: Callable[[], Any]) -> float:
    """The seconds that it takes; printed."""
    started = time.process_time()
    run()
    seconds = time.process_time() - started
    print(f"| {what} | {dtype} | {seconds:.2f} | {flops / seconds / 1e9:.0f} |", flush=True)
    return seconds


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _processor() -> str:
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{platform.machine()} ({capability}{', bfloat16' if torch.cpu.get_capabilities()['avx512_bf16'] else ''})"


if __name__ == "__main__":
    typer.run(main)
