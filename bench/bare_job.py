"""A script that makes clips of `sketch` and does nothing else: `python -m bench.bare_job FOLDER`.

For each line of standard input it makes a clip of so many steps: the same networks, predictions, decoder and encoder as
the worker's, in a plain loop. It prints the seconds that a processor worked.
"""

import sys
import time
from pathlib import Path

import av
import torch

from bench.watches import unheard
from videoworker.engine.device import Device
from videoworker.models.piece import LEAST
from videoworker.models.sketch import SKETCH
from videoworker.planning.placement import Placement
from videoworker.planning.plan import plan_clip
from videoworker.request import VideoRequest
from videoworker.sampling.denoise import Inputs
from videoworker.sampling.latent_space import Shape
from videoworker.sampling.pixels import to_frames
from videoworker.sampling.schedule import Step
from videoworker.settings import settings

PROMPT = "A red circle moves to the right over a blue background"


@torch.inference_mode()
def make(device: Device, steps: int, path: Path) -> None:
    watch = unheard()
    folder = settings().weights_dir / SKETCH.checkpoint.folder
    loaded = device.use(SKETCH, folder, Placement.RESIDENT, watch)
    plan = plan_clip(VideoRequest(api="native", prompt=PROMPT, num_inference_steps=steps), SKETCH)
    family, networks, generator = loaded.family, loaded.networks, torch.Generator().manual_seed(1)
    prompts, _ = loaded.encode(("", PROMPT), None)
    canvas = plan.canvas
    shape = Shape(plan.num_frames, canvas.native_width, canvas.native_height)
    noise = family.get_noise(networks, shape, generator)
    start = family.start(networks, Inputs(noise, prompts, None, plan.sampling, generator))
    latents, done = start.latents, list[Step]()
    for index in range(steps):
        predictions = start.predict(latents, index, start.guidance.prompts(index, start.prompts))
        step = start.schedule.step(index, start.guidance.combine(index, predictions), latents, done)
        latents, done = step.after, [*done, step][-2:]
    with av.open(path, "w") as file:
        stream = file.add_stream("libx264", rate=plan.fps, options={"preset": "veryfast", "crf": "20"})
        stream.width, stream.height, stream.pix_fmt = canvas.width, canvas.height, "yuv420p"
        for pixels in family.decode(networks, start.finish(latents), generator, watch, LEAST):
            for frame in to_frames(pixels):
                file.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        file.mux(stream.encode(None))


def main(folder: str) -> None:
    device = Device()
    for line in sys.stdin:
        before = time.process_time()
        make(device, int(line), Path(folder, "bare.mp4"))
        print(f"took {time.process_time() - before}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
