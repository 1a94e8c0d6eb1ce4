"""NOTICE says of every model's weights what the declarations say."""

import pytest
from videoworker.models.declaration import Model

from builder.notice import NOTICE, main
from videoworker.models import VARIANTS

EVERY = [model for variants in VARIANTS.values() for model in variants]


def test_the_notice_is_that_of_the_declarations(tmp_path):
    made = tmp_path / "NOTICE"
    main(made)
    assert made.read_text("utf-8") == NOTICE.read_text("utf-8"), "run: python -m builder.notice"


@pytest.mark.parametrize("model", EVERY, ids=lambda model: model.folder)
def test_every_models_weights_stand_under_their_own_terms(model: Model):
    where = model.repository or f"weights/{model.folder}"
    (entry,) = [
        entry
        for entry in NOTICE.read_text("utf-8").split("\n\n")
        if where in (line.split(":")[-1].split(",")[0].strip() for line in entry.splitlines())
    ]
    words = " ".join(entry.split())
    assert entry.splitlines()[0] == model.name
    assert f"licence: {model.licence}" in words
    for restriction in model.notes:
        assert restriction in words
    assert ("account" in words) is model.gated
