"""What a network's files are called in a repository, from what the model's `Component` says of them."""

from videoworker.models.checkpoint import Component, PublishedFiles
from videoworker.weights.files import MARKS, stem


def names(component: Component, files: PublishedFiles) -> list[str]:
    """The names of the files; the index comes last, if they have one."""
    if component.is_file:
        return [component.path]
    mark = f".{MARKS[files.dtype]}" if files.is_marked else ""
    if files.parts == 1:
        return [f"{stem(component)}{mark}.safetensors"]
    parts = [f"{number:05}-of-{files.parts:05}" for number in range(1, files.parts + 1)]
    index = f"{stem(component)}.safetensors.index{mark}.json"
    return [*(f"{stem(component)}{mark}-{part}.safetensors" for part in parts), index]


def paths(component: Component, files: PublishedFiles) -> list[str]:
    """The same, in the checkpoint's folder."""
    return [name if component.is_file else f"{component.place}/{name}" for name in names(component, files)]
