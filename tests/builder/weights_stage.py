"""The files of the Dockerfile's stage that fetches weights, copied as the build copies them."""

import re
import shutil
from pathlib import Path


def copy_stage(tree: Path, to: Path) -> None:
    """What the Dockerfile of `tree` copies from it into the stage's folder."""
    (stage,) = re.findall(
        r"^FROM \S+ AS weights$(.*?)^FROM", (tree / "Dockerfile").read_text(), re.DOTALL | re.MULTILINE
    )
    for line in re.findall(r"^COPY (.*)$", stage.replace("\\\n", " "), re.MULTILINE):
        *sources, target = line.split()
        for source in sources:
            if (tree / source).is_dir():
                left_out = shutil.ignore_patterns("__pycache__")
                shutil.copytree(tree / source, to / target, ignore=left_out, dirs_exist_ok=True)
            else:
                (to / target).mkdir(parents=True, exist_ok=True)
                shutil.copy2(tree / source, to / target)
