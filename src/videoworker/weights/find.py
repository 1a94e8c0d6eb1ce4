"""The checkpoints that one job can use: those of this machine, and those that it may fetch."""

import structlog

from videoworker.errors import Code, JobError
from videoworker.models.checkpoint import Checkpoint
from videoworker.settings import Settings
from videoworker.watch import Watch
from videoworker.weights.fetch_process import fetch_watched
from videoworker.weights.places import Found, locate
from videoworker.weights.revision import commit
from videoworker.weights.verify import verify

FETCHED = "the hub"  # the place of what was not on this machine before

_log = structlog.get_logger()


class LocalCheckpoints:
    """Looks for each checkpoint once. Each job makes a new one, since files come and go between jobs."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._located: dict[Checkpoint, Found | None] = {}

    def locate(self, checkpoint: Checkpoint) -> Found | None:
        """Where the checkpoint lies, whole or not; None if it is nowhere on this machine."""
        if checkpoint not in self._located:
            self._located[checkpoint] = locate(checkpoint, self._settings)
        return self._located[checkpoint]

    def bring(self, checkpoint: Checkpoint, watch: Watch) -> Found:
        """Where the checkpoint lies, whole. If it is nowhere and ALLOW_DOWNLOAD is set, it is fetched first. What
        lies here needs no acceptance of its licence. Raises `JobError`: MODEL_NOT_LOADED, or the watch's."""
        found = self.locate(checkpoint)
        if found is None and self._settings.allow_download:
            is_accepted = self._settings.accept_tencent_license
            folder = fetch_watched(checkpoint, self._settings.weights_dir, watch, is_accepted)
            found = self._located[checkpoint] = Found(FETCHED, folder)
        if found is None:
            raise JobError(Code.MODEL_NOT_LOADED, checkpoint.absence)
        _log.info(
            "weights found",
            model=checkpoint.model,
            variant=checkpoint.variant,
            place=found.place,
            folder=str(found.folder),
        )
        here = commit(found.folder)
        if checkpoint.revision and here not in (None, checkpoint.revision):
            _log.warning("weights of another commit than the pinned one", commit=here, pinned=checkpoint.revision)
        verify(checkpoint, found.folder)
        return found
