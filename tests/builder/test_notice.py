"""NOTICE says of every model's weights what the declarations say."""

from pathlib import Path

import pytest

from builder.notice import NOTICE, main
from videoworker.models import DECLARED
from videoworker.models.checkpoint import Checkpoint

EVERY = [model.checkpoint for variants in DECLARED.values() for model in variants]


def test_the_notice_is_that_of_the_declarations(tmp_path: Path) -> None:
    made = tmp_path / "NOTICE"
    main(made)
    assert made.read_text("utf-8") == NOTICE.read_text("utf-8"), "run: python -m builder.notice"


@pytest.mark.parametrize("checkpoint", EVERY, ids=lambda checkpoint: checkpoint.folder)
def test_weights_stand_under_their_own_terms(checkpoint: Checkpoint) -> None:
    where = checkpoint.repository or f"weights/{checkpoint.folder}"
    (entry,) = [
        entry
        for entry in NOTICE.read_text("utf-8").split("\n\n")
        if where in (line.split(":")[-1].split(",")[0].strip() for line in entry.splitlines())
    ]
    words = " ".join(entry.split())
    assert entry.splitlines()[0] == checkpoint.model
    assert f"licence: {checkpoint.licence}" in words
    for restriction in checkpoint.notes:
        assert restriction in words
    assert ("account" in words) is checkpoint.gated
