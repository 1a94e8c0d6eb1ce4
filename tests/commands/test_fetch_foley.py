"""`videoworker fetch` of a model that is published in another layout, from a hub on this machine."""

from pathlib import Path

from builder.tiny import foley
from tests.commands.command_line import run
from tests.commands.hub import serving
from videoworker.weights import manifest
from videoworker.weights.verify import verify

CHECKPOINT = foley.checkpoint_of("xl")


def test_published_files_become_the_checkpoint_and_go(tmp_path: Path) -> None:
    """Nothing comes but what is converted. The rest of the folder's files, from before, is replaced."""
    foley.publish(tmp_path / "hub", "xl")
    repositories = {origin.repository: tmp_path / "hub" / origin.folder for origin in CHECKPOINT.origins}
    for folder in repositories.values():
        (folder / "demo.mp4").write_bytes(b"film")
    weights = tmp_path / "weights"
    (weights / CHECKPOINT.folder / "codec").mkdir(parents=True)
    with serving(repositories) as hub:
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
