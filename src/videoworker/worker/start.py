"""The start of the process. Settings are read first, so that a wrong one is told at once. Then all else is imported."""

import gc
import sys
from importlib import import_module
from threading import Thread

from pydantic import ValidationError

from videoworker.settings import SdkSettings, settings, what_is_wrong


def main() -> None:
    """Loads, then serves until the platform ends the process. If it cannot serve, it exits with one line."""
    try:
        SdkSettings()
        current = settings()
    except ValidationError as error:
        sys.exit(what_is_wrong(error))

    # What is imported stays. To search it for garbage takes a second here, and a moment with every clip.
    gc.disable()
    # The SDK asks another process which processor this is, and waits for a second. Meanwhile the rest is imported.
    Thread(target=import_module, args=["runpod"]).start()
    import_module("videoworker.job")
    from videoworker.worker.serve import serve

    gc.freeze()
    gc.enable()
    serve(current)
