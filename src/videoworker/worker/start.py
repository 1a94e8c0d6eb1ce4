"""The start of the process. Settings are read first, so that a wrong one is told at once. Then the disk reads the
weights, and meanwhile all else is imported."""

import gc
import sys
from importlib import import_module
from threading import Thread

from pydantic import ValidationError

from videoworker import apis
from videoworker.engine.first_files import read_first_files
from videoworker.errors import JobError
from videoworker.settings import SdkSettings, settings, what_is_wrong


def main() -> None:
    """Loads, then serves until the platform ends the process. If it cannot serve, it exits with one line."""
    try:
        SdkSettings()
        current = settings()
        api = apis.select({}, current.api)
        read_first_files(current, api.model, api.takes_video)
    except ValidationError as error:
        sys.exit(what_is_wrong(error))
    except JobError as error:
        sys.exit(error.line)

    # What is imported stays. To search it for garbage takes a second here, and a moment with every clip.
    gc.disable()
    import_libraries()
    from videoworker.worker.serve import serve

    gc.freeze()
    gc.enable()
    serve(current)


def import_libraries() -> None:
    """Imports what every worker needs, and takes long."""
    # The SDK asks another process which processor this is, and waits for a second. Meanwhile the rest is imported.
    Thread(target=import_module, args=["runpod"]).start()
    # accelerate imports boto3 if there is one, for a service of Amazon's. Only a bucket needs it, and imports it then.
    sys.modules.setdefault("boto3", None)  # type: ignore[arg-type]  # Python's way to say that there is none
    import_module("accelerate")
    if sys.modules["boto3"] is None:
        del sys.modules["boto3"]
    import_module("videoworker.job")
