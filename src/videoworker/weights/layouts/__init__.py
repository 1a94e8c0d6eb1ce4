"""Checkpoints that are published in a layout of their own, converted into ours: a file for each such layout.

Each has `convert(checkpoint, published, to)`. It writes the checkpoint's folders and its `model_index.json` into `to`,
from the folders of the checkpoint's origins in `published`. It returns the tensors that it did not expect, by file.
Raises `JobError` if a file or a tensor is missing, or if a file holds anything but tensors.
"""
