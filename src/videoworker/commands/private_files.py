"""Who may read what a service writes."""

import os


def keep_private() -> None:
    """What this process and its children write from now on is for this user alone: prompts and videos are their
    callers' own."""
    os.umask(0o077)
