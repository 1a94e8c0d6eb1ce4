"""How much of a clip is decoded at once. Planning chooses it by the free memory; a family's decoder obeys it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Piece:
    """So many latent frames, and the whole picture or a tile of it. The default is the least that can be decoded."""

    latents: int = 1
    whole_picture: bool = False


LEAST = Piece()
