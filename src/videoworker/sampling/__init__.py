"""What the families share: the denoising loop, schedules, guidance, latents, and the reader of checkpoints."""

import os

# transformers reads this when it is imported. Else it warns of an image processor that nothing here uses.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
