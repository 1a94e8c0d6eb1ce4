"""The start of the process: its settings first, of which a moment tells what is wrong; then everything else."""

import sys

from pydantic import ValidationError

from videoworker.settings import SdkSettings, settings


def main() -> None:
    """Loads, then serves until the platform ends the process. Exits with one line where it cannot serve."""
    try:
        SdkSettings()
        current = settings()
    except ValidationError as error:
        wrong = (f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']} (given: {e['input']!r})" for e in error.errors())
        sys.exit("; ".join(wrong))

    from videoworker.worker.serve import serve  # takes seconds to import

    serve(current)
