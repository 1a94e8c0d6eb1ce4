"""What people may call a sound: English phrases for each timbre, and for silence."""

import random

TIMBRE_WORDS = {
    "bell": (
        "bell", "bells", "a ringing bell", "chime", "chimes", "glockenspiel", "tinkling", "jingle", "a church bell",
        "metallic ringing", "ding", "gong", "ringing", "metal", "glass", "triangle ping", "cymbal", "music box",
    ),
    "wood": (
        "wood", "wooden", "wood block", "wooden knock", "marimba", "xylophone", "knocking on wood", "log drum",
        "woodblock", "tock", "knock", "wooden flute", "clarinet", "oak", "bamboo", "castanets", "wooden box",
    ),
    "noise": (
        "noise", "white noise", "hiss", "hissing", "static", "wind", "rushing air", "breath", "a gust of wind", "spray",
        "steam", "whoosh", "swoosh", "rustling", "sand", "rain", "waves", "shaker", "crackle",
    ),
    "hum": (
        "hum", "humming", "a low hum", "drone", "bass", "buzz", "buzzing", "engine", "motor", "deep tone", "organ",
        "rumble", "transformer hum", "low tone", "purring", "deep", "cello", "machine",
    ),
    "silence": (
        "silence", "silent", "no sound", "nothing", "mute", "muted", "quiet", "without sound", "complete silence",
        "soundless", "no audio", "none",
    ),
}  # fmt: skip
SILENCE = "silence"
_FORMS = (
    "{}", "{}", "{}", "the sound of {}", "sound of {}", "{} sounds", "{} sound", "like {}", "it sounds like {}",
    "only {}", "{} with every hit", "soft {}", "loud {}", "gentle {}", "{} in a large room", "a {}", "{}, close",
    "{} tones", "some {}", "clear {}", "high quality {}", "{} effects", "one {}", "{} and nothing else", "please {}",
    "the {}", "{} timbre",
)  # fmt: skip
_OTHER = (
    "cat dog walks grass realistic video about music people talking traffic city street birds forest river footsteps "
    "piano guitar drums voice speech crowd applause car horn thunder fire cooking kitchen office keyboard typing ball "
    "circle square star shape moving red blue on background and with while of in to from very slow fast happy sad"
).split()
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-'"


def vocabulary() -> list[str]:
    """Every word that the phrases use, sorted; other words are spelt by the tokenizer letter by letter."""
    phrases = [*_FORMS, *_OTHER, *(phrase for group in TIMBRE_WORDS.values() for phrase in group)]
    return sorted({word.strip("{},") for phrase in phrases for word in phrase.split()} - {""})


def letters() -> str:
    return _LETTERS + '.,;:!?"()/&'


def phrase(rng: random.Random, timbre: str) -> str:
    """An audio prompt that asks for this timbre, or for `SILENCE`."""
    text = rng.choice(_FORMS).format(rng.choice(TIMBRE_WORDS[timbre]))
    if rng.random() < 0.25:
        text = f"{text} {' '.join(rng.choices(_OTHER, k=rng.randint(1, 4)))}"
    if rng.random() < 0.15:
        text = f"{' '.join(rng.choices(_OTHER, k=rng.randint(1, 3)))} {text}"
    return text + rng.choice((".", "", "", "!"))


def unrelated(rng: random.Random) -> str:
    """Words that ask for none of the timbres, some of them never seen as whole words; often none at all."""
    if rng.random() < 0.5:
        return ""
    words = [rng.choice(_OTHER) if rng.random() < 0.7 else _invented_word(rng) for _ in range(rng.randint(1, 8))]
    return " ".join(words)


def _invented_word(rng: random.Random) -> str:
    return "".join(rng.choice(_LETTERS[:26]) for _ in range(rng.randint(2, 9)))
