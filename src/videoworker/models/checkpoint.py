"""A checkpoint as data: where its files come from, under which terms, and which networks they hold."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a network is for. Placements and memory go by it, never by a network's name."""

    TEXT_ENCODER = "text_encoder"
    IMAGE_ENCODER = "image_encoder"
    DENOISER = "denoiser"
    AUTOENCODER = "autoencoder"


@dataclass(frozen=True)
class Component:
    """One network of a checkpoint.

    `name` is its folder. `stored` is the dtype of its files once they are fetched: what a repository has in float32 is
    cast to it, but tensors with one of `float32_parts` in their names, which it computes in float32. `size` is about
    how many bytes the tensors of these files have. `dtype` is what it computes in, on a device that computes in 16
    bits.
    """

    name: str
    role: Role
    stored: str
    size: int
    dtype: str = "bfloat16"
    float32_parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checkpoint:
    """The files of one variant of a model, in diffusers layout, safetensors only.

    `model` and `variant` name it to a user; a model with one variant gives that no name. `folder` lies under the
    weights directory. `repository` is the hub's id, empty if the files are part of this repository; it is pinned to
    `revision` if that is a commit. `pipeline` is the class that `model_index.json` names. `gated`: the hub asks for an
    account that accepted the terms. `territory` and `conditions` say what the licence restricts, if anything.
    """

    model: str
    folder: str
    repository: str
    licence: str
    pipeline: str
    components: tuple[Component, ...]
    variant: str = ""
    revision: str | None = None
    gated: bool = False
    territory: str = ""
    conditions: str = ""

    @property
    def size(self) -> int:
        """About how many bytes all networks have."""
        return sum(component.size for component in self.components)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the results must know about the licence."""
        return tuple(filter(None, (self.territory, self.conditions)))

    @property
    def title(self) -> str:
        """The model's name, and the variant's unless that is the one meant by the model's name alone."""
        return self.model if self.folder == self.model else f"{self.model} {self.variant}"

    @property
    def how_to_fetch(self) -> str:
        """The command by which an operator gets the files."""
        if not self.repository:
            return f"git checkout -- weights/{self.folder}"
        option = "" if self.folder == self.model else f" --variant {self.variant}"
        return f"videoworker fetch {self.model}{option}"

    @property
    def absence(self) -> str:
        """What an operator reads if the files are not here."""
        return f"The weights of {self.title} are not installed. To fetch them ({self.licence}): {self.how_to_fetch}"

    def role(self, name: str) -> Role:
        """The role of the network called `name`. Raises `KeyError` if there is no such network."""
        return {component.name: component.role for component in self.components}[name]
