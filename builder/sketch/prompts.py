"""What people may call a scene: English sentences for it, in free word order and with synonyms."""

import random

SHAPE_WORDS = {
    "circle": ("circle", "ball", "disc", "disk", "dot", "sphere", "round shape"),
    "square": ("square", "box", "block", "cube", "tile"),
    "triangle": ("triangle", "wedge", "pyramid", "cone"),
    "star": ("star", "starlet", "five pointed star", "star shape"),
}
COLOUR_WORDS = {
    "red": ("red", "red", "crimson", "scarlet", "bright red"),
    "green": ("green", "green", "emerald", "grass green"),
    "blue": ("blue", "blue", "azure", "navy", "deep blue"),
    "yellow": ("yellow", "yellow", "golden", "lemon"),
    "orange": ("orange", "orange", "tangerine", "amber"),
    "purple": ("purple", "purple", "violet", "lilac"),
    "white": ("white", "white", "snow white", "pale"),
    "black": ("black", "black", "jet black", "dark"),
}
MOTION_WORDS = {
    "left": (
        "moving left",
        "moves left",
        "moves to the left",
        "slides to the left",
        "rolls left",
        "drifts leftwards",
        "goes left",
        "gliding left",
        "travels to the left",
        "rolling to the left",
        "flies left",
    ),
    "right": (
        "moving right",
        "moves right",
        "moves to the right",
        "slides to the right",
        "rolls right",
        "drifts rightwards",
        "goes right",
        "gliding right",
        "travels to the right",
        "rolls to the right",
        "rolling to the right",
        "flies right",
    ),
    "up": (
        "moving up",
        "moves up",
        "rises",
        "rising",
        "floats upwards",
        "climbs",
        "goes up",
        "moves to the top",
        "drifts up",
        "flies up",
        "slides up",
    ),
    "down": (
        "moving down",
        "moves down",
        "falls",
        "falling",
        "drops",
        "sinks",
        "goes down",
        "descends",
        "moves to the bottom",
        "drifts down",
        "slides down",
    ),
    "growing": ("growing", "grows", "expands", "gets bigger", "becomes larger", "swells", "growing larger", "inflates"),
    "shrinking": ("shrinking", "shrinks", "contracts", "gets smaller", "becomes smaller", "shrinking away", "deflates"),
    "spinning": ("spinning", "spins", "rotates", "rotating", "turns around", "twirls", "spins in place", "whirls"),
    "bouncing": ("bouncing", "bounces", "bounces up and down", "hops", "hopping", "jumps up and down", "jumping"),
    "still": ("still", "stays still", "rests", "does not move", "stands still", "motionless", "sits", "not moving"),
}
_ANY_SHAPE = ("shape", "thing", "object", "figure", "form")
_GROUND = ("background", "backdrop", "ground", "field", "canvas", "wall", "surface", "sky")
_OVER = ("on", "over", "in front of", "against", "above", "across")
_ARTICLE = ("a", "the", "one", "")
_FILLER = (
    "a video of",
    "an animation of",
    "a simple",
    "smooth",
    "cartoon of",
    "a short clip of",
    "we see",
    "drawing of",
    "flat design",
    "minimal",
    "realistic style",
    "cinematic",
    "high quality",
    "4k",
    "slowly",
    "big",
    "small",
)
_OTHER = (
    "cat dog walks grass realistic professional educational video about data privacy principles a serene sunset ocean "
    "with birds flying in sky lake at mountains zoom into this beautiful scene playing yarn training compliance person "
    "city street rain forest river car people water light night day and of the to from camera close view slow motion "
    "style"
).split()
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-'"


def vocabulary() -> list[str]:
    """Every word that the sentences use, sorted; other words are spelt by the tokenizer letter by letter."""
    phrases = [*_ANY_SHAPE, *_GROUND, *_OVER, *_ARTICLE, *_FILLER, *_OTHER, "is", "and", "it", "that", "there"]
    for words in (SHAPE_WORDS, COLOUR_WORDS, MOTION_WORDS):
        phrases += [phrase for group in words.values() for phrase in group]
    return sorted({word for phrase in phrases for word in phrase.split()})


def letters() -> str:
    return _LETTERS + '.,;:!?"()/&'


def sentence(
    rng: random.Random, shape: str | None, colour: str | None, background: str | None, motion: str | None
) -> str:
    """One sentence that says what is given and leaves out what is None."""
    noun = rng.choice(SHAPE_WORDS[shape]) if shape else rng.choice(_ANY_SHAPE)
    thing = f"{rng.choice(COLOUR_WORDS[colour])} {noun}" if colour else noun
    if rng.random() < 0.1:
        thing = f"{rng.choice(('big', 'small', 'simple', 'flat'))} {thing}"
    moves = rng.choice(MOTION_WORDS[motion]) if motion else ""
    article = rng.choice(_ARTICLE)
    ground = rng.choice(_GROUND)
    under = (
        f"{rng.choice(_OVER)} {rng.choice(_ARTICLE)} {rng.choice(COLOUR_WORDS[background])} {ground}"
        if background
        else ""
    )
    where = f"{rng.choice(COLOUR_WORDS[background])} {ground}" if background else ""
    forms = [
        f"{article} {thing} {moves} {under}",
        f"{under}, {article} {thing} {moves}" if under else f"{article} {thing} {moves}",
        f"{article} {thing} {under} {moves}",
        f"{moves} {thing} {under}",
        f"{where}, {thing} {moves}" if where else f"{thing} {moves}",
        f"{thing}, {moves}, {where}",
    ]
    if colour and background and motion:
        forms.append(
            f"the {noun} is {rng.choice(COLOUR_WORDS[colour])} and {moves}; "
            f"the {ground} is {rng.choice(COLOUR_WORDS[background])}"
        )
    text = rng.choice(forms)
    if rng.random() < 0.15:
        text = f"{rng.choice(_FILLER)} {text}"
    if rng.random() < 0.15:
        text = f"{text}, {rng.choice(_FILLER)}"
    text = " ".join(text.replace(" ,", ",").replace(",,", ",").split()).strip(" ,")
    return text + rng.choice((".", "", "", "!"))


def unrelated_sentence(rng: random.Random) -> str:
    """Words that say nothing of the drawn world, some of them never seen as whole words."""
    words = [rng.choice(_OTHER) if rng.random() < 0.6 else _invented_word(rng) for _ in range(rng.randint(0, 10))]
    return " ".join(words)


def _invented_word(rng: random.Random) -> str:
    return "".join(rng.choice(_LETTERS[:26]) for _ in range(rng.randint(2, 9)))
