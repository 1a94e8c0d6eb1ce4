"""Loads, places and runs models; knows torch, knows no API."""

import os

# transformers reads this as it is imported, and else warns of an image processor that nothing here uses.
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
