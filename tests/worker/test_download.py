"""A worker whose weights are nowhere on the machine: with ALLOW_DOWNLOAD it fetches them before its first job."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from builder.tiny import cogvideox
from tests.commands.hub import Hub, serving
from tests.forks import Forks
from tests.handler_process import output_of, run_job
from videoworker.models.cogvideox import COGVIDEOX

JOB = {"prompt": "a red circle", "width": 256, "height": 256, "num_frames": 9, "num_inference_steps": 1}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    cogvideox.save(tmp_path / "repository", "2b")
    with serving({COGVIDEOX.checkpoint.repository: tmp_path / "repository"}) as hub:
        yield hub


def test_allow_download(hub: Hub, tmp_path: Path, forks: Forks) -> None:
    """Weights are fetched only if ALLOW_DOWNLOAD says so."""
    settings = {"MODEL": "cogvideox", "WEIGHTS_DIR": str(tmp_path / "weights"), "HF_ENDPOINT": hub.url}
    refused = forks.run_job(tmp_path, JOB, **settings)
    assert refused.returncode == 1 and "To fetch them (Apache-2.0): videoworker fetch cogvideox" in refused.stderr
    assert hub.sent == []

    made = run_job(tmp_path, JOB, ALLOW_DOWNLOAD="1", **settings)
    assert output_of(made.stdout)["video"]["model"] == "cogvideox"
    assert (tmp_path / "weights" / "cogvideox" / "model_index.json").is_file()
