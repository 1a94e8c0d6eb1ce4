"""Weights baked into an image, from a hub on this machine."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.tiny import cogvideox
from tests.commands.hub import Hub, serving
from tests.handler_process import ROOT
from tests.image import buildah
from tests.image.conftest import Image
from tests.image.container import running
from videoworker.models.cogvideox import COGVIDEOX_5B as MODEL

pytestmark = [pytest.mark.needs_buildah, pytest.mark.needs_mmdebstrap, pytest.mark.needs_runc]

TOKEN = "hf_not-in-the-image"
JOB = {"prompt": "a cat", "width": 256, "height": 256, "num_frames": 9, "num_inference_steps": 1}


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A copy of what the image is built from."""
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, copy = ROOT / line[1:], tmp_path / "context" / line[1:]
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, copy) if source.is_dir() else shutil.copy2(source, copy)
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy2(ROOT / name, tmp_path / "context" / name)
    return tmp_path / "context"


@pytest.fixture
def tokens() -> set[str | None]:
    """With which the hub was asked for the model."""
    return set()


@pytest.fixture
def hub(tmp_path: Path, tokens: set[str | None]) -> Iterator[Hub]:
    cogvideox.save(tmp_path / "repository", "5b")
    with serving({MODEL.checkpoint.repository: tmp_path / "repository"}) as hub:

        class Noting(hub.RequestHandlerClass):  # type: ignore[misc,name-defined]
            def parse_request(self) -> bool:
                parsed: bool = super().parse_request()
                if MODEL.checkpoint.repository in self.path:
                    tokens.add(self.headers["Authorization"])
                return parsed

        hub.RequestHandlerClass = Noting
        yield hub


def test_they_come_with_a_secret_token_serve_without_a_network_and_stay_when_code_changes(
    image: Image, context: Path, hub: Hub, tokens: set[str | None], tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(TOKEN)
    secret = f"--secret=id=HF_TOKEN,src={tmp_path / 'token'}"

    def build() -> str:
        """What the image takes its weights from."""
        arguments = {"HF_ENDPOINT": hub.url, "MODEL": "cogvideox", "MODEL_VARIANT": "5b"}
        return buildah.build(context, "localhost/weights", "--target=weights", secret, **arguments)

    baked = build()
    assert tokens == {f"Bearer {TOKEN}"}
    assert TOKEN not in buildah.buildah("inspect", "--type=image", baked)
    with buildah.mounted(baked) as root:
        files = ("grep", "--recursive", "--files-with-matches", "--exclude-dir=opt", "--regexp", TOKEN, "--regexp")
        holders = buildah.command("sh", "-c", '"$@" || true', "sh", *files, "root:x:0:0", str(root))
        assert holders.split() == [str(root / "etc/passwd")]  # and none that holds the token
        (tmp_path / "container").mkdir()
        job = json.dumps({"input": JOB})
        at = {"MODEL": "cogvideox", "HF_HUB_OFFLINE": "1"}
        with running(
            image.config, image.root, tmp_path / "container", "--test_input", job, weights=root / "weights", **at
        ) as container:
            code, printed, errors = container.ended()
    assert code == 0, errors
    assert "9 frames" in printed.splitlines()[-1] and ", cogvideox, made" in printed.splitlines()[-1]

    before = layers(baked)
    tokens.clear()
    with (context / "src/videoworker/job.py").open("a") as file:
        file.write("# changed\n")
    assert layers(build()) == before
    assert not tokens


def layers(image: str) -> list[str]:
    """The digests of its layers, undermost first."""
    about = json.loads(buildah.buildah("inspect", "--type=image", image))
    digests: list[str] = about["OCIv1"]["rootfs"]["diff_ids"]
    return digests
