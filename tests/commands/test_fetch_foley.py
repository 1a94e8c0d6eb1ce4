"""`videoworker fetch` of a model that is published in another layout, from a hub on this machine."""

from pathlib import Path

import huggingface_hub
import pytest

from builder.tiny import foley
from tests.commands.command_line import run
from tests.commands.hub import hub_at, serving
from videoworker.errors import JobError
from videoworker.weights import manifest
from videoworker.weights.fetch import fetch
from videoworker.weights.verify import verify

CHECKPOINT = foley.checkpoint_of("xl")


def test_published_files_become_the_checkpoint_and_go(tmp_path: Path) -> None:
    """Nothing comes but what is converted, and of each repository the pinned commit, though `main` has moved. The rest
    of the folder's files, from before, is replaced."""
    foley.publish(tmp_path / "hub", "xl")
    repositories = {origin.repository: tmp_path / "hub" / origin.folder for origin in CHECKPOINT.origins}
    for folder in repositories.values():
        (folder / "demo.mp4").write_bytes(b"film")
    weights = tmp_path / "weights"
    (weights / CHECKPOINT.folder / "codec").mkdir(parents=True)
    (tmp_path / "later").mkdir()
    with serving(repositories) as hub:
        hub.repositories = dict.fromkeys(repositories, tmp_path / "later")
        command = ("fetch", "foley", "--variant", "xl", "--to", str(weights))
        done = run(*command, HF_ENDPOINT=hub.url, ACCEPT_TENCENT_LICENSE="true")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "licence: tencent-hunyuan-community" and "South Korea" in lines[1]
    assert lines[-1] == f"foley xl is in {weights / 'foley-xl'}"
    assert "repa_projector.weight" in done.stdout + done.stderr
    verify(CHECKPOINT, weights / "foley-xl")
    files = manifest.files_in(weights / "foley-xl")
    assert manifest.check(CHECKPOINT, weights / "foley-xl", manifest.nobody) == len(files)
    assert {path.name for path in weights.iterdir()} == {"foley-xl", ".foley-xl.lock"}
    wanted = {name for origin in CHECKPOINT.origins for name in origin.files}
    assert {file for file, _ in hub.sent} <= wanted


def test_a_pinned_commit_that_a_hub_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said of the repository that lacks it."""
    foley.publish(tmp_path / "hub", "xl")
    pictures = CHECKPOINT.origins[1]
    with serving({origin.repository: tmp_path / "hub" / origin.folder for origin in CHECKPOINT.origins}) as hub:
        for constant, value in hub_at(hub.url).items():
            monkeypatch.setattr(huggingface_hub.constants, constant, value)
        del hub.commits[pictures.repository, str(pictures.revision)]
        with pytest.raises(JobError) as caught:
            fetch(CHECKPOINT, tmp_path / "weights", is_accepted=True)
    assert caught.value.message == (
        f"huggingface.co/{pictures.repository} has no commit {pictures.revision}, to which foley xl is pinned."
    )
