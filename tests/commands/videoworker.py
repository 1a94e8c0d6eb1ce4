"""What the installed script `videoworker` does, for `python -m`."""

from videoworker.cli import main

main()
