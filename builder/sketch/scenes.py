"""The drawn world that `sketch` learns: one shape, one colour, one background, one motion.

A scene is drawn from signed distances, so it can be rendered at any size with smooth edges. Lengths are in units of
the picture's shorter side, times in frames, angles in radians; y grows downwards. A shape that leaves the picture on
one side comes back on the other, so that every frame determines the next one however long a clip becomes.
"""

import hashlib
import math
import random
from dataclasses import dataclass, replace

import torch

SHAPES = ("circle", "square", "triangle", "star")
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 165, 70),
    "blue": (40, 80, 220),
    "yellow": (242, 212, 50),
    "orange": (245, 135, 25),
    "purple": (140, 60, 190),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
MOTIONS = ("left", "right", "up", "down", "growing", "shrinking", "spinning", "bouncing", "still")

CORNERS = {"square": 4, "triangle": 3, "star": 5}
_STAR_INNER_RATIO = 0.45
SIZE = {"circle": 1.0, "square": 1.15, "triangle": 1.2, "star": 1.25}  # so that all look about equally large
UPRIGHT = {"circle": 0.0, "square": math.pi / 4, "triangle": -math.pi / 2, "star": -math.pi / 2}
LARGEST_RADIUS, SMALLEST_RADIUS = 0.32, 0.09
BOUNCE_FRAMES = 16


@dataclass(frozen=True)
class Scene:
    """What is seen and how it moves. `x`, `y` (centre), `radius` are in units of the shorter side at frame 0;
    `rate` is units per frame for motion and size, radians per frame for spinning, bounce height for bouncing."""

    shape: str
    colour: str
    background: str
    motion: str
    width: float
    height: float
    x: float
    y: float
    radius: float
    rate: float
    phase: float = 0.0

    @property
    def combination(self) -> tuple[str, str, str, str]:
        return self.shape, self.colour, self.background, self.motion


def is_held_out(combination: tuple[str, str, str, str]) -> bool:
    """A fixed tenth of all combinations of shape, colour, background and motion is never trained on."""
    return hashlib.sha256("/".join(combination).encode()).digest()[0] < 26


def all_combinations() -> list[tuple[str, str, str, str]]:
    """Every combination whose motion can be seen (a spinning circle looks still)."""
    return [
        (shape, colour, background, motion)
        for shape in SHAPES
        for colour in COLOURS
        for background in COLOURS
        for motion in MOTIONS
        if colour != background and (shape, motion) != ("circle", "spinning")
    ]


# What the training draws from; all stages leave out the same tenth.
TRAINED = [combination for combination in all_combinations() if not is_held_out(combination)]


def draw_scene(
    rng: random.Random, combination: tuple[str, str, str, str], aspect: float, num_frames: int = 25
) -> Scene:
    """A scene of this combination in a picture of `aspect` = width / height, wholly inside it for `num_frames`."""
    shape, colour, background, motion = combination
    width, height = max(aspect, 1.0), max(1 / aspect, 1.0)
    radius, rate = rng.uniform(0.17, 0.25), 0.0
    if motion == "growing":
        radius, rate = rng.uniform(0.10, 0.15), rng.uniform(0.006, 0.009)
    elif motion == "shrinking":
        radius, rate = rng.uniform(0.26, 0.32), -rng.uniform(0.006, 0.008)
    elif motion == "spinning":
        radius, rate = rng.uniform(0.20, 0.28), rng.uniform(0.06, 0.1)
    reach = max(radius, LARGEST_RADIUS if motion == "growing" else 0.0) * SIZE[shape] + 0.02
    x = rng.uniform(min(reach, width / 2), max(width - reach, width / 2))
    y = rng.uniform(min(reach, height / 2), max(height - reach, height / 2))
    if motion in ("left", "right", "up", "down"):
        room = (width if motion in ("left", "right") else height) - 2 * reach
        rate = min(rng.uniform(0.015, 0.025), room / (num_frames - 1))
        start = rng.uniform(reach, reach + room - rate * (num_frames - 1))
        if motion in ("left", "up"):
            rate, start = -rate, start + rate * (num_frames - 1)
        x, y = (start, y) if motion in ("left", "right") else (x, start)
    elif motion == "bouncing":
        y, rate = height - reach, rng.uniform(0.6, 0.9) * (height - 2 * reach)
    return Scene(
        shape,
        colour,
        background,
        motion,
        width,
        height,
        x,
        y,
        radius,
        rate,
        rng.random() if motion == "bouncing" else 0,
    )


def draw_centred_scene(
    rng: random.Random, combination: tuple[str, str, str, str], aspect: float, num_frames: int = 25
) -> Scene:
    """The scene that a text alone stands for: halfway through `num_frames` it is in the middle of the picture. What the
    text leaves open is kept small, because a network this small draws the average of all that may be."""
    scene = draw_scene(rng, combination, aspect, num_frames)
    x, y = scene.width / 2 + rng.uniform(-0.03, 0.03), scene.height / 2 + rng.uniform(-0.03, 0.03)
    radius, rate = rng.uniform(0.20, 0.22), 0.0
    match scene.motion:
        case "left" | "right" | "up" | "down":
            rate = rng.uniform(0.016, 0.018) * (-1 if scene.motion in ("left", "up") else 1)
            travelled = rate * (num_frames - 1) / 2
            x, y = (x - travelled, y) if scene.motion in ("left", "right") else (x, y - travelled)
        case "growing":
            radius, rate = rng.uniform(0.12, 0.13), rng.uniform(0.007, 0.008)
        case "shrinking":
            radius, rate = rng.uniform(0.29, 0.31), -rng.uniform(0.007, 0.0075)
        case "spinning":
            radius, rate = rng.uniform(0.23, 0.25), rng.uniform(0.075, 0.085)
        case "bouncing":
            y, rate = y + 0.2, rng.uniform(0.38, 0.42)
    return replace(scene, x=x, y=y, radius=radius, rate=rate, phase=0.0)


def states(scene: Scene, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Centre x, y, radius and angle at each of `frames` [T]."""
    x, y = torch.full_like(frames, scene.x), torch.full_like(frames, scene.y)
    radius, angle = torch.full_like(frames, scene.radius), torch.full_like(frames, UPRIGHT[scene.shape])
    if scene.motion in ("left", "right"):
        x = x + scene.rate * frames
    elif scene.motion in ("up", "down"):
        y = y + scene.rate * frames
    elif scene.motion in ("growing", "shrinking"):
        radius = (radius + scene.rate * frames).clamp(SMALLEST_RADIUS, LARGEST_RADIUS)
    elif scene.motion == "spinning":
        angle = angle + scene.rate * frames
    elif scene.motion == "bouncing":
        y = y - scene.rate * (math.pi * (frames / BOUNCE_FRAMES + scene.phase)).sin().abs()
    return x, y, radius * SIZE[scene.shape], angle


def signed_distances(scene: Scene, width: int, height: int, frames: torch.Tensor) -> torch.Tensor:
    """How far every pixel of a picture of `width` x `height` lies from the shape's outline at each of `frames` [T], in
    units of the shorter side, negative inside: float32 [T, height, width]."""
    unit = min(width, height)
    x, y, radius, angle = (value.view(-1, 1, 1) for value in states(scene, frames))
    columns = ((torch.arange(width) + 0.5) / unit).view(1, 1, -1) - x
    rows = ((torch.arange(height) + 0.5) / unit).view(1, -1, 1) - y
    w, h = width / unit, height / unit
    columns = (columns + w / 2) % w - w / 2  # [T, 1, W]: the picture's left and right sides touch
    rows = (rows + h / 2) % h - h / 2  # [T, H, 1]
    return outline_distances(scene.shape, columns, rows, radius, angle)


def outline_distances(
    shape: str,
    columns: torch.Tensor,
    rows: torch.Tensor,
    radius: torch.Tensor | float,
    angle: torch.Tensor | float,
) -> torch.Tensor:
    """How far places, as seen from the shape's centre, lie from its outline, negative inside. `radius` is that of its
    corners, and one of them lies at `angle`. Lengths are in any one unit."""
    distance = (columns**2 + rows**2).sqrt()
    if shape == "circle":
        return distance - radius
    # Fold the plane into one wedge from a corner to the middle of the next edge; there the outline is one line.
    sector = 2 * math.pi / CORNERS[shape]
    inner = _inner_ratio(shape)
    turned = (torch.atan2(rows, columns) - angle) % sector
    folded = torch.minimum(turned, sector - turned)
    end_x, end_y = inner * math.cos(sector / 2) - 1, inner * math.sin(sector / 2)  # from the corner, radius 1
    length = math.hypot(end_x, end_y)
    return ((distance * folded.cos() - radius) * end_y - distance * folded.sin() * end_x) / length


def radius_of(shape: str, area: float) -> float:
    """The radius of the corners of a shape of this area, of a circle its own."""
    if shape == "circle":
        return math.sqrt(area / math.pi)
    corners = CORNERS[shape]
    return math.sqrt(area / (corners * _inner_ratio(shape) * math.sin(math.pi / corners)))


def _inner_ratio(shape: str) -> float:
    """The distance of the outline from the centre halfway between two corners, over that of the corners."""
    return _STAR_INNER_RATIO if shape == "star" else math.cos(math.pi / CORNERS[shape])


def render(scene: Scene, width: int, height: int, num_frames: int, first_frame: int = 0) -> torch.Tensor:
    """Draws frames `first_frame` ... as float32 [3, T, height, width] in -1..1."""
    frames = torch.arange(first_frame, first_frame + num_frames, dtype=torch.float32)
    outside = signed_distances(scene, width, height, frames)
    cover = (0.5 - outside * min(width, height)).clamp(0, 1).unsqueeze(0)
    shape = torch.tensor(COLOURS[scene.colour]).view(3, 1, 1, 1) / 127.5 - 1
    ground = torch.tensor(COLOURS[scene.background]).view(3, 1, 1, 1) / 127.5 - 1
    return cover * shape + (1 - cover) * ground
