"""The first denoising step of a Mochi checkpoint by diffusers alone: `python -m bench.stock_start FOLDER`."""

import sys

import torch
from diffusers import DiffusionPipeline

from bench.first_step import watch_denoiser


def main(folder: str) -> None:
    dtypes = {"text_encoder": torch.float32, "default": torch.bfloat16}  # those of Mochi's authors
    device = "cuda" if torch.cuda.is_available() else "cpu"
    pipeline = DiffusionPipeline.from_pretrained(folder, torch_dtype=dtypes).to(device)
    watch_denoiser()
    # A short prompt is not padded by ours; a longer text would only be more arithmetic.
    pipeline("a red circle", num_frames=7, width=256, height=256, guidance_scale=1, max_sequence_length=16)


if __name__ == "__main__":
    main(sys.argv[1])
