"""One job from its validated request to the delivered file, in this process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.watches import unheard
from videoworker import job
from videoworker.engine.engine import Engine
from videoworker.request import Progress, Result, VideoRequest
from videoworker.settings import Settings
from videoworker.watch import Watch


def settings_in(folder: Path, weights_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of a worker that has these weights alone, and keeps no timings beside them; its temporary files lie beside
    what it delivers."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    (folder / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder / "temporary"))
    return Settings(weights_dir=weights_dir, output_dir=folder / "made", keep_timings=False)


def made(
    settings: Settings,
    report: Callable[[Progress], None] = unheard,
    watch: Watch | None = None,
    engine: Engine | None = None,
    **asked: Any,
) -> Result:
    """What becomes of a job with these fields."""
    request = VideoRequest(api="native", **{"model": "sketch", "prompt": "a red circle"} | asked)
    return job.run(
        {"id": "a"}, request, watch or Watch("a", report, 1000.0), engine=engine or Engine(settings), settings=settings
    )
