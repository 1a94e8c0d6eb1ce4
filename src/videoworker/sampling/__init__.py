"""What the families share: the denoising loop, schedules, guidance, latents, and the reader of checkpoints."""
