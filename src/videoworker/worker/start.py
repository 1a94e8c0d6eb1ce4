"""The start of the process. Settings are read first, so that a wrong one is told at once. Then all else is imported."""

import sys

from pydantic import ValidationError

from videoworker.settings import SdkSettings, settings, what_is_wrong


def main() -> None:
    """Loads, then serves until the platform ends the process. If it cannot serve, it exits with one line."""
    try:
        SdkSettings()
        current = settings()
    except ValidationError as error:
        sys.exit(what_is_wrong(error))

    from videoworker.worker.serve import serve  # takes seconds to import

    serve(current)
