"""A checkpoint as data: where its files come from, under which terms, and which networks they hold."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path


class Role(StrEnum):
    """What a network is for. Placements and memory go by it, never by a network's name."""

    TEXT_ENCODER = "text_encoder"
    IMAGE_ENCODER = "image_encoder"
    VIDEO_ENCODER = "video_encoder"
    DENOISER = "denoiser"
    AUTOENCODER = "autoencoder"
    UPSAMPLER = "upsampler"


@dataclass(frozen=True)
class PublishedFiles:
    """One set of a network's files in the repository: the dtype of its tensors, and in how many parts it lies. If it
    `is_marked`, the dtype stands in the files' names."""

    dtype: str
    parts: int = 1
    is_marked: bool = False


@dataclass(frozen=True)
class Component:
    """One network of a checkpoint.

    `name` is its folder, unless `path` says where the repository has it: another folder, or one safetensors file with
    no configuration beside it. `stored` is the dtype of its files on this machine, and `size` about how many bytes
    their tensors have. `published` are the sets of its files in the repository; a network that ships here has none. The
    set that is `fetched` is cast if it has another dtype.

    `dtype` is the one to compute in, if the device computes in 16 bits. It is the one in which the model's authors run
    the network. Tensors with one of `float32_parts` in their names are the exception: they are neither cast when they
    are fetched nor when they are loaded. `float32_parameters` is how many numbers these are, if it matters. Of a file
    that holds more, those are loaded whose names begin with `loaded`.
    """

    name: str
    role: Role
    stored: str
    size: int
    dtype: str = "bfloat16"
    published: tuple[PublishedFiles, ...] = ()
    float32_parts: tuple[str, ...] = ()
    float32_parameters: int = 0
    path: str = ""
    loaded: str = ""

    @property
    def place(self) -> str:
        """The folder or the file in the checkpoint's folder."""
        return self.path or self.name

    @property
    def is_file(self) -> bool:
        """Whether it is one file."""
        return self.path.endswith(".safetensors")

    @property
    def fetched(self) -> PublishedFiles:
        """The set that comes from the repository: marked with the dtype `stored`, else the plain one. A network with
        `float32_parts` comes plain, because marked files have rounded them."""
        marked = [files for files in self.published if files.is_marked and files.dtype == self.stored]
        plain = [files for files in self.published if not files.is_marked]
        first, second = (plain, marked) if self.float32_parts else (marked, plain)
        return next(iter((*first, *second)), PublishedFiles(self.stored))

    @property
    def is_cast(self) -> bool:
        """Whether its files are written anew when they are fetched."""
        return self.fetched.dtype != self.stored

    def keeps_float32(self, tensor: str) -> bool:
        """Whether the tensor of this name stays in float32."""
        return any(part in tensor for part in self.float32_parts)


@dataclass(frozen=True)
class Origin:
    """A repository that is not in diffusers layout, and the files of it that networks are made from, of about `size`
    bytes. It is pinned to `revision` if that is a commit. `licence` is empty if it is the checkpoint's."""

    repository: str
    files: tuple[str, ...]
    size: int
    revision: str | None = None
    licence: str = ""

    @property
    def folder(self) -> str:
        """The name of the folder that has the files."""
        return self.repository.rpartition("/")[2]


@dataclass(frozen=True)
class Checkpoint:
    """The files of one variant of a model, safetensors only: in diffusers layout, or as their repository has them.

    `model` and `variant` are its names for a user. If a model has one variant alone, that has no name. `folder` lies
    under the weights directory. `repository` is the hub's id, empty if this repository has the files. It is pinned to
    `revision` if that is a commit. `pipeline` is the class in `model_index.json`, empty if the repository has no such
    file. `listed_by` are the repositories on GitHub that say which files it has; empty if none was found, then the
    files are taken to be like a relative's. If `gated`, the hub wants an account that has accepted the terms.
    `territory` and `conditions` say what the licence restricts, if anything. `territory` is of one that leaves
    countries out: an operator must accept it before the files are fetched.

    If the files are published in another layout that cannot be loaded as it is, they are converted once. `origins` says
    where they are published, and `layout` is the file in `videoworker.weights.layouts` that converts them.
    """

    model: str
    folder: str
    repository: str
    licence: str
    pipeline: str
    components: tuple[Component, ...]
    variant: str = ""
    revision: str | None = None
    listed_by: tuple[str, ...] = ()
    gated: bool = False
    territory: str = ""
    conditions: str = ""
    origins: tuple[Origin, ...] = ()
    layout: str = ""

    @property
    def landmark(self) -> str:
        """The file by which a folder is known to be this checkpoint's."""
        if self.pipeline:
            return "model_index.json"
        first = self.components[0]
        return first.place if first.is_file else f"{first.place}/config.json"

    def joined(self, other: "Checkpoint", folder: Path) -> "Checkpoint":
        """With the networks of another one, which lies in `folder`, among its own: they are used together."""
        theirs = (replace(component, path=str(folder / component.place)) for component in other.components)
        return replace(self, components=(*self.components, *theirs))

    def has(self, other: "Checkpoint") -> bool:
        """Whether it is the other one, or that one `joined` with more networks."""
        return replace(self, components=self.components[: len(other.components)]) == other

    @property
    def places(self) -> dict[str, str]:
        """By component, the folder or the file in this checkpoint's folder."""
        return {component.name: component.place for component in self.components}

    @property
    def size(self) -> int:
        """About how many bytes all networks have."""
        return sum(component.size for component in self.components)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the results must know about the licence."""
        return tuple(filter(None, (self.territory, self.conditions)))

    @property
    def needs_acceptance(self) -> bool:
        """Whether an operator must accept the licence before the files are fetched."""
        return bool(self.territory)

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
        """For the operator: the files are absent, and how to get them."""
        return f"The weights of {self.title} are not installed. To fetch them ({self.licence}): {self.how_to_fetch}"

    @property
    def refusal(self) -> str:
        """For the operator: the licence is not accepted, whom it leaves out, and how to accept it."""
        return (
            f"The weights of {self.title} are fetched only if you accept their licence, {self.licence}. "
            f"{self.territory} To accept it: answer the question of `{self.how_to_fetch}` on a terminal, add "
            "--accept-license to that command, or set ACCEPT_TENCENT_LICENSE=true (at an image's build: --build-arg "
            "ACCEPT_TENCENT_LICENSE=true)."
        )

    def role(self, name: str) -> Role:
        """The role of the network called `name`. Raises `KeyError` if there is no such network."""
        return {component.name: component.role for component in self.components}[name]
