"""A model is named in its own file alone: with one more file in `models`, everything that names models names it too."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.builder.weights_stage import copy_stage
from tests.handler_process import ROOT, environment

NAME = "made-up"

# Of a family that there is; the one variant makes clips from text, the other continues them. None of the numbers is
# another model's.
MODEL_FILE = """
from dataclasses import replace

from videoworker.models.mochi import MOCHI

FROM_TEXT = replace(
    MOCHI,
    checkpoint=replace(
        MOCHI.checkpoint,
        model="made-up",
        variant="text",
        folder="made-up",
        repository="nobody/made-up-text",
        licence="made-up-licence",
        conditions="Made-up conditions.",
        gated=True,
        components=tuple(replace(one, size=one.size // 2) for one in MOCHI.checkpoint.components),
    ),
    rank=25,  # before Mochi
    denoise_bytes=78,
    continued_by="image",
)
FROM_IMAGE = replace(
    FROM_TEXT,
    checkpoint=replace(
        FROM_TEXT.checkpoint,
        variant="image",
        folder="made-up-image",
        repository="nobody/made-up-image",
    ),
    takes_image=True,
    needs_image=True,
    continued_from=1,
    denoise_bytes=79,
)
VARIANTS = (FROM_TEXT, FROM_IMAGE)
"""

# What is derived, as one JSON object.
DERIVED = """
import json
import sys
from pathlib import Path

from typer.testing import CliRunner

from bench.activations import counted_models
from builder import doc_tables, hub, image_files, make_tiny, notice, published
from builder.declared import FIRST_OF_FAMILY
from builder.presets import PRESETS
from videoworker.apis import APIS
from videoworker.cli import app
from videoworker.models import VARIANTS
from videoworker.weights.verify import verify

folder = Path(sys.argv[1])
for model in VARIANTS["made-up"]:
    arguments = ["made-up", str(folder / model.variant), "--variant", model.variant]
    made = CliRunner().invoke(make_tiny.app, arguments, catch_exceptions=False)
    assert made.exit_code == 0, made.output
    verify(model.checkpoint, folder / model.variant)
    published.save(model, folder / "published" / model.variant)
    verify(model.checkpoint, folder / "published" / model.variant)
print(json.dumps({
    "schema": APIS["native"].schema.model_json_schema(),
    "models": CliRunner().invoke(app, ["models"], catch_exceptions=False).output,
    "presets": [preset.name for preset in PRESETS],
    "hub": hub.documents()["hub.json"],
    "bake": image_files.bake(),
    "notice": notice.notice(),
    "files": doc_tables.tables()["published"],
    "counted": [model.checkpoint.title for model in counted_models()],
    "decoded": [model.name for model in FIRST_OF_FAMILY.values()],
}))
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository's code with one more model."""
    tree = tmp_path_factory.mktemp("tree")
    for name in ("src", "builder", "bench"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copy2(ROOT / "Dockerfile", tree)
    (tree / "src" / "videoworker" / "models" / "made_up.py").write_text(MODEL_FILE)
    return tree


@pytest.fixture(scope="module")
def derived(tree: Path) -> dict[str, Any]:
    there = environment() | {"PYTHONPATH": f"{tree / 'src'}:{tree}"}
    command = [sys.executable, "-c", DERIVED, str(tree / "made")]
    ran = subprocess.run(command, cwd=tree, env=there, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    return found


def test_apis_take_its_name(derived: dict[str, Any]) -> None:
    assert NAME in json.dumps(derived["schema"])


def test_the_command_lists_it(derived: dict[str, Any]) -> None:
    rows = [line.split()[:3] for line in derived["models"].splitlines()]
    assert [NAME, "text", "text"] in rows and [NAME, "image", "image"] in rows


def test_the_hub_offers_it(derived: dict[str, Any]) -> None:
    listing = derived["hub"]
    presets = [preset["name"] for preset in listing["config"]["presets"]]
    assert presets == derived["presets"] and any(name.startswith(f"{NAME}, ") for name in presets)
    (form,) = [variable["input"] for variable in listing["config"]["env"] if variable["key"] == "MODEL"]
    assert NAME in [option["value"] for option in form["options"]]
    assert NAME in listing["description"]


def test_it_has_images(derived: dict[str, Any]) -> None:
    targets = dict(re.findall(r'target "(.*?)" \{.*?args += \{ (.*?) \}', derived["bake"], re.DOTALL))
    assert targets[NAME] == f'MODEL = "{NAME}"'
    assert targets[f"{NAME}-text"] == f'MODEL = "{NAME}", MODEL_VARIANT = "text,image"'
    assert targets[f"{NAME}-image"] == f'MODEL = "{NAME}", MODEL_VARIANT = "image"'


def test_an_images_build_knows_it(tree: Path, tmp_path: Path) -> None:
    copy_stage(tree, tmp_path)
    assert (tmp_path / "videoworker" / "models" / "made_up.py").is_file()


def test_the_notice_has_its_terms(derived: dict[str, Any]) -> None:
    (entry,) = [entry for entry in derived["notice"].split("\n\n") if entry.startswith(NAME)]
    for words in ("made-up-licence", "Made-up conditions.", "account", "nobody/made-up-text", "nobody/made-up-image"):
        assert words in entry


def test_its_published_files_are_listed(derived: dict[str, Any]) -> None:
    """And small checkpoints are built in their form: the tests of these take every variant that is declared."""
    (row,) = [line for line in derived["files"].splitlines() if "nobody/made-up-text" in line]
    assert "`nobody/made-up-image`" in row and "model-00001-of-00004.safetensors" in row


def test_measurements_are_made_of_it(derived: dict[str, Any]) -> None:
    assert [title for title in derived["counted"] if title.startswith(NAME)] == [NAME, f"{NAME} image"]
    assert NAME in derived["decoded"]
