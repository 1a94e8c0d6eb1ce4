"""The commits to which the declarations pin the hub's repositories, and the document that says where they come from."""

import re
from pathlib import Path

from videoworker.models import CHECKPOINTS as BY_MODEL

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "revisions.md"
CHECKPOINTS = [checkpoint for checkpoints in BY_MODEL.values() for checkpoint in checkpoints]
# Of a checkpoint that is made from other repositories' files, those are fetched.
DECLARED = {
    source.repository: source.revision
    for checkpoint in CHECKPOINTS
    for source in checkpoint.origins or (checkpoint,)
    if source.repository
}


def rows() -> list[list[str]]:
    """The cells of the table: repository, commit, sources."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_pin_is_a_whole_commit_and_no_two_repositories_have_the_same() -> None:
    """A variant that is made from another one would inherit its commit too."""
    pins = [commit for commit in DECLARED.values() if commit]
    assert pins and all(re.fullmatch("[0-9a-f]{40}", commit) for commit in pins)
    assert len(set(pins)) == len(pins)


def test_the_document_has_every_repository_with_the_commit_that_the_declaration_pins() -> None:
    documented = {repository.strip("`"): commit.strip("`") for repository, commit, _ in rows()}
    assert len(documented) == len(rows())
    assert documented == {repository: commit or "not pinned" for repository, commit in DECLARED.items()}


def test_every_pin_is_named_by_two_owners() -> None:
    for repository, commit, sources in rows():
        owners = {owner for owner, _ in re.findall(r"github\.com/([^/)]+)/([^/)]+)", sources)}
        assert len(owners) >= 2 or commit == "not pinned", repository
