"""Writes the two files of an image's build that name models: docker-bake.hcl, which has a target for each image that
makes sense, and .dockerignore, which lets the weights of this repository in.

python -m builder.image_files
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from builder.declared import SHIPPED, SHIPPED_CHECKPOINTS
from builder.presets import IMAGE_BYTES
from videoworker import __version__
from videoworker.models import SOUND_VARIANTS, VARIANTS
from videoworker.models.sound_model import SoundModel
from videoworker.models.video_model import VideoModel
from videoworker.planning.variants import continuing

ROOT = Path(__file__).parent.parent

# The largest image that RunPod takes.
_LARGEST_BYTES = 80_000_000_000

_BAKE_HEAD = f"""\
# Made by `python -m builder.image_files`: for each model an image with its weights. `docker buildx bake` alone makes
# the image without weights. It serves the models of this repository, RunPod's cached models, and those on a network
# volume. A target has two variants if the one continues the clips of the other. One whose name ends in that of a sound
# model has that too. Weights whose terms must be accepted need HF_TOKEN in the environment, and those under Tencent's
# licence ACCEPT_TENCENT_LICENSE=true. `videoworker models` says how many GB each has. RunPod takes images up to 80 GB.

variable "IMAGE" {{
  default = "worker-video"
}}

# As in src/videoworker/__init__.py.
variable "VERSION" {{
  default = "{__version__}"
}}

variable "ACCEPT_TENCENT_LICENSE" {{
  default = "false"
}}

target "default" {{
  platforms = ["linux/amd64"]
  args      = {{ VERSION = VERSION }}
  secret    = ["id=HF_TOKEN,env=HF_TOKEN"]
  tags      = ["${{IMAGE}}:${{VERSION}}"]
}}

# The gateway, which has no weights.
target "gateway" {{
  inherits = ["default"]
  target   = "gateway"
  tags     = ["${{IMAGE}}:${{VERSION}}-gateway"]
}}

# What needs no weights from elsewhere.
group "shipped" {{
  targets = [{", ".join(f'"{name}"' for name in ("default", "gateway", *(model.name for model in SHIPPED)))}]
}}
"""

_DOCKERIGNORE_HEAD = """\
# Made by `python -m builder.image_files`. Only what the Dockerfile copies: no weights that lie about, no videos, no
# jobs, no history.
"""


def bake() -> str:
    """docker-bake.hcl, whole."""
    targets = [target for variants in VARIANTS.values() for target in _targets(variants)]
    return "\n".join([_BAKE_HEAD, *targets])


def dockerignore() -> str:
    """.dockerignore, whole."""
    copied = (
        *("LICENSE", "NOTICE", "handler.py", "test_input.json", "builder/fetch.py"),
        *("builder/requirements.txt", "builder/requirements-torch.txt", "builder/constraints-torch.txt"),
        "builder/requirements-gateway.txt",
        "src/videoworker",
        *(f"weights/{checkpoint.folder}" for checkpoint in SHIPPED_CHECKPOINTS),
    )
    return "\n".join([f"{_DOCKERIGNORE_HEAD}*", *(f"!{path}" for path in copied), "**/__pycache__", ""])


def main(folder: Annotated[Path, typer.Argument(help="where the two files go")] = ROOT) -> None:
    """Brings docker-bake.hcl and .dockerignore up to date."""
    (folder / "docker-bake.hcl").write_text(bake(), "utf-8")
    (folder / ".dockerignore").write_text(dockerignore(), "utf-8")


def _targets(variants: tuple[VideoModel, ...]) -> Iterator[str]:
    """Those of a model. Its own name stands for the variant that is meant if none is named, alone and with each sound
    model. Each other target is of one variant, with the one that continues its clips if both are small enough."""
    first = variants[0]
    yield _target(first.name, (first,))
    if first.checkpoint.repository:
        for sounds in SOUND_VARIANTS.values():
            if sounds[0].checkpoint.repository:
                yield _target(f"{first.name}-{sounds[0].name}", (first,), sound=sounds[0])
    for variant in variants:
        both = tuple(dict.fromkeys((variant, continuing(variants, variant) or variant)))
        size = IMAGE_BYTES + sum(one.checkpoint.size for one in both)
        baked = both if size < _LARGEST_BYTES else (variant,)
        if baked != (first,):
            names = ",".join(one.variant for one in baked)
            yield _target(f"{first.name}-{variant.variant}", baked, names)


def _target(name: str, baked: tuple[VideoModel, ...], variants: str = "", sound: SoundModel | None = None) -> str:
    """bake takes no dot in a target's name."""
    args = f'MODEL = "{baked[0].name}"' + (f', MODEL_VARIANT = "{variants}"' if variants else "")
    checkpoints = [model.checkpoint for model in baked]
    if sound is not None:
        args += f', SOUND_MODEL = "{sound.name}"'
        checkpoints.append(sound.checkpoint)
    if any(checkpoint.needs_acceptance for checkpoint in checkpoints):
        args += ", ACCEPT_TENCENT_LICENSE = ACCEPT_TENCENT_LICENSE"
    return f"""\
target "{name.replace(".", "_")}" {{
  inherits = ["default"]
  args     = {{ {args} }}
  tags     = ["${{IMAGE}}:${{VERSION}}-{name}"]
}}
"""


if __name__ == "__main__":
    typer.run(main)
