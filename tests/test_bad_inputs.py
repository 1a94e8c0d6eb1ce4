"""Bad inputs through the real SDK: each is refused with exactly the error object of the document it was sent to."""

import base64
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.apis.samples import SMALLEST, parse
from tests.forks import Forks
from tests.handler_process import ROOT, error_of
from tests.media.pictures import encoded
from videoworker.models import MODELS

FOLEY, HUNYUAN, HUNYUAN15, LOCAL, COGVIDEOX, NATIVE = SMALLEST
Problem = tuple[str, Any, str]  # field, given, allowed


@dataclass(frozen=True)
class Case:
    """One bad input and what it is refused with. Where `message` is None, it is told from the problems."""

    api: str
    job_input: Any
    problems: list[Problem]
    code: str = "INVALID_FIELD"
    message: str | None = None

    @property
    def expected(self) -> dict[str, Any]:
        told = "; ".join(
            f"{field}: {allowed} (given: {json.dumps(given, ensure_ascii=False)})"
            for field, given, allowed in self.problems
        )
        return documented(self.api, self.code, told if self.message is None else self.message, self.problems)


def documented(api: str, code: str, message: str, problems: list[Problem]) -> dict[str, Any]:
    """The error object of the API's document, with what stands in every error beside it."""
    status = {"CONSENT_MISSING": 403, "MODEL_NOT_LOADED": 503}.get(code, 400)
    everywhere = {
        "code": code,
        "message": message,
        "fields": [{"field": field, "given": given, "allowed": allowed} for field, given, allowed in problems],
        "retryable": False,
        "status_code": status,
    }
    if api == FOLEY:
        words = {"INVALID_PROMPT": "InvalidPromptError", "MODEL_NOT_LOADED": "ModelLoadError"}
        name = words.get(code, "InvalidParameterError")
        return everywhere | {"status": "error", "error": name, "code": status, "error_code": code}
    if api == HUNYUAN:
        failed = dict.fromkeys(["created_at", "updated_at", "video_url", "estimated_time"])
        failed |= {"job_id": "local_test", "status": "failed", "progress": 0.0}
        return everywhere | failed | {"error": message, "detail": message}
    if api == HUNYUAN15:
        word = "INVALID_PARAMETER" if code == "INVALID_FIELD" else code
        return everywhere | {"task_id": "local_test", "status": "failed", "error": message, "error_code": word}
    if api == LOCAL:
        return everywhere | {"success": False, "video_url": None, "error": message}
    if api == COGVIDEOX:
        return everywhere | {"status": "failed", "error": message}
    return everywhere | {"job_id": "local_test", "status": "failed"}


def to(api: str, **fields: Any) -> dict[str, Any]:
    """The API's smallest good input with `fields` in it."""
    return {"api": api} | SMALLEST[api] | fields


def one(api: str, field: str, value: Any, allowed: str, shown: Any = ...) -> Case:
    """One field that is wrong; `shown` is how the value comes back where that is not as it is."""
    return Case(api, to(api, **{field: value}), [(field, value if shown is ... else shown, allowed)])


def prompt(api: str, field: str, value: Any, lengths: str, shown: Any = ...) -> Case:
    problem = (field, value if shown is ... else shown, f"{lengths} characters")
    message = f"{field.replace('_', ' ').capitalize()} must be {lengths} characters"
    return Case(api, to(api, **{field: value}), [problem], "INVALID_PROMPT", message)


def duration(api: str, value: Any, allowed: str, shown: Any = ...) -> Case:
    problem = ("duration", value if shown is ... else shown, allowed)
    return Case(api, to(api, duration=value), [problem], "INVALID_DURATION", f"Duration must be {allowed}")


def picture(value: str, allowed: str, shown: str | None = None) -> Case:
    given = beginning(value) if shown is None else shown
    message = f"Invalid image: image: {allowed} (given: {json.dumps(given, ensure_ascii=False)})"
    return Case(
        LOCAL, to(LOCAL, image=value, num_frames=8), [("image", shortened(given), allowed)], "INVALID_IMAGE", message
    )


def shortened(text: str) -> str:
    """As a long text comes back: 80 characters."""
    return text if len(text) <= 80 else text[:79] + "…"


def beginning(image: str) -> str:
    """As a long picture comes back: its first 50 characters and its length."""
    return image if len(image) <= 50 else f"{image[:50]}… ({len(image)} characters)"


# Each limit that a document names: API, field, least, most, the step to what is beyond, and how it is told.
LIMITS: list[tuple[str, str, Any, Any, Any, str]] = [
    (HUNYUAN, "width", 256, 1280, 1, "an integer from 256 to 1280"),
    (HUNYUAN, "height", 256, 1280, 1, "an integer from 256 to 1280"),
    (HUNYUAN, "video_length", 13, 129, 1, "an integer from 13 to 129"),
    (HUNYUAN, "fps", 8, 30, 1, "an integer from 8 to 30"),
    (HUNYUAN, "num_inference_steps", 10, 50, 1, "an integer from 10 to 50"),
    (HUNYUAN, "guidance_scale", 1.0, 20.0, 0.01, "a number from 1 to 20"),
    (HUNYUAN, "flow_shift", 0.0, 10.0, 0.01, "a number from 0 to 10"),
    (HUNYUAN, "embedded_guidance_scale", 1.0, 20.0, 0.01, "a number from 1 to 20"),
    (LOCAL, "fps", 1, 60, 1, "an integer from 1 to 60"),
    (LOCAL, "num_frames", 8, 240, 1, "an integer from 8 to 240"),
    (LOCAL, "width", 256, 1920, 8, "an integer from 256 to 1920, a multiple of 8"),
    (LOCAL, "height", 256, 1080, 8, "an integer from 256 to 1080, a multiple of 8"),
    (LOCAL, "seed", 0, 2**32 - 1, 1, "an integer from 0 to 2^32-1"),
    (COGVIDEOX, "num_frames", 8, 100, 1, "an integer from 8 to 100"),
]
# The same for lengths in characters and in seconds, which have codes of their own.
PROMPT_LIMITS = [
    (FOLEY, "video_prompt", 1, 500),
    (HUNYUAN15, "prompt", 10, 500),
    (LOCAL, "prompt", 3, 1000),
]
DURATION_LIMITS: list[tuple[str, Any, Any, Any, str]] = [
    (FOLEY, 1.0, 30.0, 0.01, "a number from 1 to 30"),
    (HUNYUAN15, 5, 10, 1, "an integer from 5 to 10"),
]


def beyond_limits() -> Iterator[tuple[str, Case]]:
    for api, field, least, most, step, allowed in LIMITS:
        yield f"{api} {field} below", one(api, field, least - step, allowed)
        yield f"{api} {field} above", one(api, field, most + step, allowed)
    for api, field, least, most in PROMPT_LIMITS:
        yield f"{api} {field} short", prompt(api, field, "x" * (least - 1), f"{least}-{most}")
        yield (
            f"{api} {field} long",
            prompt(api, field, "x" * (most + 1), f"{least}-{most}", shortened("x" * (most + 1))),
        )
    for api, least, most, step, allowed in DURATION_LIMITS:
        yield f"{api} duration below", duration(api, least - step, allowed)
        yield f"{api} duration above", duration(api, most + step, allowed)


PICTURE = "a JPEG, PNG or WebP picture as http(s) URL, data URI or base64"
PICTURE_TEXT = "an http(s) URL, a data URI or base64 of a JPEG or PNG, 1-30000000 characters"
TOO_MANY_PIXELS = "a picture has at most 50000000 pixels"
SMALL_PNG = encoded(Image.effect_noise((64, 64), 90))


def png_header(width: int, height: int) -> str:
    """A PNG that claims a size and holds nothing of it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def text_as_picture(text: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(text).decode()


PICTURES = {
    "no base64": picture("a picture of a cat, please", f"{PICTURE}; as base64 it is wrong at character 19 (',')"),
    "text": picture(text_as_picture(b"hello"), PICTURE),
    "svg": picture(text_as_picture(b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>'), PICTURE),
    "gif": picture(encoded(Image.new("P", (32, 32)), "GIF"), PICTURE),
    "truncated": picture(SMALL_PNG[: len(SMALL_PNG) // 2], "a picture that is whole; this one is broken"),
    "small": picture(encoded(Image.new("RGB", (8, 40))), "a picture is at least 16 pixels wide and high", "8x40"),
    "many pixels": picture(png_header(8000, 8000), TOO_MANY_PIXELS, "8000x8000"),
    "decompression bomb": picture(png_header(60_000, 60_000), TOO_MANY_PIXELS),
    "oversized": picture(base64.b64encode(bytes(20_000_001)).decode(), "a picture holds at most 20000000 bytes"),
    "longer than any": one(LOCAL, "image", "A" * 30_000_001, PICTURE_TEXT, shortened("A" * 30_000_001)),
    "empty": one(LOCAL, "image", "", PICTURE_TEXT),
    "number": one(LOCAL, "image", 5, PICTURE_TEXT),
    "list": one(LOCAL, "image", [SMALL_PNG], PICTURE_TEXT, "a list of 1 items"),
    "text URI": picture("data:text/plain;base64,QUJD", "a data URI must begin with data:image/...;base64,"),
    "URI without base64": picture("data:image/png,QUJD", "a data URI must begin with data:image/...;base64,"),
    "file": picture("file:///etc/passwd", "the URL must begin with http:// or https:// and name a host"),
    "ftp": picture("ftp://example.org/a.png", "the URL must begin with http:// or https:// and name a host"),
    "own machine": picture("http://127.0.0.1:8000/a.png", "the URL must lead to a public address"),
    "cloud metadata": picture("http://169.254.169.254/latest/meta-data", "the URL must lead to a public address"),
    "with a password": picture(
        "https://me:hunter2@example.org/a.png?key=hunter2",
        "the URL must not hold a user name or password",
        "https://example.org/a.png",
    ),
}


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


KNOWN_APIS = "hunyuanvideo-foley, hunyuanvideo, hunyuanvideo-1.5, local, cogvideox, native"
KNOWN_MODELS = ", ".join(MODELS)
NATIVE_PROMPT = "1-10000 characters"
PROMPTS = {
    "missing": Case(NATIVE, {}, [("prompt", None, NATIVE_PROMPT)], "INVALID_PROMPT", f"Prompt must be {NATIVE_PROMPT}"),
    "null": prompt(COGVIDEOX, "prompt", None, "1-10000"),
    "huge": prompt(NATIVE, "prompt", "ab" * 500_000, "1-10000", shortened("ab" * 500_000)),
    "white space": prompt(FOLEY, "video_prompt", " \t\n ", "1-500", ""),
    "control characters": prompt(HUNYUAN, "prompt", "\x00\x07\x1b\x9f", "1-10000", ""),
    "control characters around too little": prompt(LOCAL, "prompt", "\x00a\x00b\x00", "3-1000", "ab"),
    "emoji": prompt(FOLEY, "video_prompt", "🎈" * 501, "1-500", shortened("🎈" * 501)),
    "decomposed": prompt(HUNYUAN15, "prompt", "e\u0301" * 9, "10-500", "é" * 9),
    "number": prompt(LOCAL, "prompt", 12345, "3-1000"),
    "list": prompt(HUNYUAN15, "prompt", ["a cat on the grass"], "10-500", "a list of 1 items"),
    "nested": prompt(NATIVE, "prompt", nested(400), "1-10000", "a list of 1 items"),
    "audio long": prompt(FOLEY, "audio_prompt", "x" * 201, "1-200", shortened("x" * 201)),
    "lone surrogate": Case(
        NATIVE,
        {"prompt": "\ud800"},
        [("prompt", "?", f"{NATIVE_PROMPT} that UTF-8 can carry (no lone surrogates)")],
        "INVALID_PROMPT",
        f"Prompt must be {NATIVE_PROMPT} that UTF-8 can carry (no lone surrogates)",
    ),
}
TYPES = {
    "text as integer": one(LOCAL, "fps", "5", "an integer from 1 to 60"),
    "true as integer": one(COGVIDEOX, "fps", True, "an integer from 1 to 60"),
    "fraction as integer": one(HUNYUAN, "video_length", 61.5, "an integer from 13 to 129"),
    "not a number": one(HUNYUAN, "guidance_scale", float("nan"), "a number from 1 to 20", "nan"),
    "infinity": one(HUNYUAN, "flow_shift", float("inf"), "a number from 0 to 10", "inf"),
    "true as number": one(COGVIDEOX, "guidance_scale", True, "a number from 1 to 20"),
    "text as duration": duration(HUNYUAN15, "5", "an integer from 5 to 10"),
    "fraction of a second": duration(HUNYUAN15, 7.5, "an integer from 5 to 10"),
    "number as boolean": one(LOCAL, "low_vram", 1, "true or false"),
    "object as integer": one(NATIVE, "num_frames", {"a": 1}, "an integer from 1 to 1000", "an object with 1 fields"),
    "endless integer": one(NATIVE, "seed", 10**400, "an integer from 0 to 2^63-1", "an integer of 1329 bits"),
    "off the grid": one(LOCAL, "width", 260, "an integer from 256 to 1920, a multiple of 8"),
}
CHOICES = {
    "foley quality": one(FOLEY, "quality", "ultra", "one of: low, medium, high"),
    "foley output_format": one(FOLEY, "output_format", "avi", "one of: mp4, webm"),
    "hunyuanvideo-1.5 resolution": one(HUNYUAN15, "resolution", "480p", "one of: 720p, 1080p"),
    "hunyuanvideo-1.5 model": one(HUNYUAN15, "model", "Sora", f"one of: {KNOWN_MODELS}"),
    "local prefer_backend": one(LOCAL, "prefer_backend", "sora", "one of: opensora, mochi, auto, or empty"),
    "native container": one(NATIVE, "container", "MP4", "one of: mp4, webm"),
    "native crf of mp4": one(NATIVE, "crf", 52, "an integer from 0 to 51 for mp4"),
}
UNKNOWN = {
    "misspelt": Case(
        HUNYUAN,
        to(HUNYUAN, video_lenght=61, widht=640),
        [
            ("video_lenght", 61, "no such field; did you mean video_length?"),
            ("widht", 640, "no such field; did you mean width?"),
        ],
    ),
    "another API's": one(
        COGVIDEOX,
        "zzz",
        nested(300),
        "no such field; known fields: prompt, num_frames, fps, guidance_scale, num_inference_steps",
        "a list of 1 items",
    ),
    "misspelt prompt": Case(
        COGVIDEOX,
        {"api": COGVIDEOX, "promt": "a cat"},
        [("prompt", None, "1-10000 characters"), ("promt", "a cat", "no such field; did you mean prompt?")],
        "INVALID_PROMPT",
        "Prompt must be 1-10000 characters",
    ),
    "within audio": Case(
        NATIVE,
        to(NATIVE, audio={"promt": "waves", "seed": -1}),
        [
            ("audio.seed", -1, "an integer from 0 to 2^63-1"),
            ("audio.promt", "waves", "no such field; did you mean prompt?"),
        ],
    ),
    "a key that UTF-8 cannot carry": Case(
        HUNYUAN15,
        to(HUNYUAN15) | {"\ud800": 1},
        [("?", 1, "no such field; known fields: prompt, duration, resolution, model")],
    ),
}
TOGETHER = {
    "two lengths": Case(
        NATIVE, to(NATIVE, num_frames=25, duration=2.0), [("num_frames", 25, "not together with duration")]
    ),
    "half a size": Case(NATIVE, to(NATIVE, width=640), [("height", None, "needed together with width")]),
    "two sizes": Case(
        NATIVE,
        to(NATIVE, resolution="720p", width=640, height=480),
        [("resolution", "720p", "not together with width and height")],
    ),
    "all at once": Case(
        LOCAL,
        {"api": LOCAL, "prompt": "a cat", "fps": 0, "width": 1, "lawful_use_consent": "yes"},
        [
            ("fps", 0, "an integer from 1 to 60"),
            ("width", 1, "an integer from 256 to 1920, a multiple of 8"),
            ("lawful_use_consent", "yes", "true"),
        ],
    ),
}
NO_CONSENT = "Lawful use consent not given: lawful_use_consent must be true"
CONSENT = {
    "refused": Case(
        LOCAL,
        to(LOCAL, lawful_use_consent=False),
        [("lawful_use_consent", False, "true")],
        "CONSENT_MISSING",
        NO_CONSENT,
    ),
    "absent": Case(
        LOCAL,
        {"api": LOCAL, "prompt": "a cat"},
        [("lawful_use_consent", None, "true")],
        "CONSENT_MISSING",
        NO_CONSENT,
    ),
}
NO_OBJECT = {
    "list": Case(NATIVE, [1, 2], [("input", "a list of 2 items", "a JSON object")]),
    "text": Case(NATIVE, "a red circle", [("input", "a red circle", "a JSON object")]),
    "number": Case(NATIVE, 3, [("input", 3, "a JSON object")]),
    "false": Case(NATIVE, False, [("input", False, "a JSON object")]),
    "nested": Case(NATIVE, nested(400), [("input", "a list of 1 items", "a JSON object")]),
}
NO_API = {
    "misspelt": Case(
        NATIVE,
        {"api": "hunyuanvidio", "prompt": "a cat"},
        [("api", "hunyuanvidio", f"one of: {KNOWN_APIS}; did you mean hunyuanvideo?")],
    ),
    "number": Case(NATIVE, {"api": 5, "prompt": "a cat"}, [("api", 5, f"one of: {KNOWN_APIS}")]),
}
FETCH = {
    "hunyuanvideo": "(tencent-hunyuan-community): videoworker fetch hunyuanvideo",
    "cogvideox": "(Apache-2.0): videoworker fetch cogvideox",
    "hunyuanvideo-1.5": "(tencent-hunyuan-community): videoworker fetch hunyuanvideo-1.5",
    "mochi": "(Apache-2.0): videoworker fetch mochi",
}


def absent(api: str, name: str, **fields: Any) -> Case:
    message = f"The weights of {name} are not installed. To fetch them {FETCH[name]}"
    return Case(api, to(api, **fields), [], "MODEL_NOT_LOADED", message)


ABSENT = {
    "hunyuanvideo": absent(HUNYUAN, "hunyuanvideo"),
    "hunyuanvideo-1.5": absent(HUNYUAN15, "hunyuanvideo-1.5"),
    "hunyuanvideo-foley": absent(FOLEY, "hunyuanvideo-1.5"),
    "cogvideox": absent(COGVIDEOX, "cogvideox"),
    "local": absent(LOCAL, "mochi", prefer_backend="mochi"),
    "native": absent(NATIVE, "mochi", model="Mochi"),
}
IMPOSSIBLE = {
    "last image": Case(
        NATIVE,
        to(NATIVE, last_image=SMALL_PNG, model="sketch"),
        [("last_image", "an image", "no last image: sketch does not take one")],
        message="last_image: no last image: sketch does not take one",
    ),
}

CASES: dict[str, Case] = dict(beyond_limits())
for kind, cases in {
    "picture": PICTURES,
    "prompt": PROMPTS,
    "type": TYPES,
    "choice": CHOICES,
    "unknown field": UNKNOWN,
    "together": TOGETHER,
    "consent": CONSENT,
    "no object": NO_OBJECT,
    "no API": NO_API,
    "absent weights": ABSENT,
    "impossible": IMPOSSIBLE,
}.items():
    CASES |= {f"{kind}: {name}": case for name, case in cases.items()}


@dataclass(frozen=True)
class Refused:
    """What the process of one bad input printed, and its exit code."""

    printed: str
    code: int


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> dict[str, Refused]:
    """All bad inputs, each given to a worker of its own that has loaded `sketch` and has no other weights."""
    folder = tmp_path_factory.mktemp("refused")
    (folder / "weights").mkdir()
    (folder / "weights" / "sketch").symlink_to(ROOT / "weights" / "sketch")
    inputs = folder / "inputs.json"
    inputs.write_text(json.dumps([case.job_input for case in CASES.values()]))
    settings = {"WEIGHTS_DIR": str(folder / "weights"), "OUTPUT_DIR": str(folder / "made")}
    process = forks.run_module("tests.many_jobs", folder, str(inputs), str(folder), **settings)
    assert process.returncode == 0, process.stderr
    assert not (folder / "made").exists()
    return {
        name: Refused((folder / f"{number}.txt").read_text(), int((folder / f"{number}.code").read_text()))
        for number, name in enumerate(CASES)
    }


@pytest.mark.parametrize("name", list(CASES))
def test_bad_input(refused: dict[str, Refused], name: str) -> None:
    """It is refused with exactly the document's error."""
    assert error_of(refused[name].printed) == CASES[name].expected
    assert refused[name].code == 1


@pytest.mark.parametrize("name", list(CASES))
def test_error_tells_nothing_of_the_worker(refused: dict[str, Refused], name: str) -> None:
    assert "Traceback" not in refused[name].printed
    check_tells_nothing(error_of(refused[name].printed))


def check_tells_nothing(error: dict[str, Any]) -> None:
    """No path, no source and no secret, but for what the caller wrote and where weights are to be had."""
    told = [error["message"]] + [problem["allowed"] for problem in error["fields"]]
    for text in told:
        text = text.partition(" (given: ")[0]  # what the caller wrote
        for model in MODELS.values():
            text = text.replace(model.checkpoint.how_to_fetch, "")
        for harmless in ("http:// or https://", "data:image/...;base64,"):
            text = text.replace(harmless, "")
        assert "/" not in text and "\\" not in text and ".py" not in text
    assert "hunter2" not in json.dumps(error)


@pytest.mark.parametrize(
    ("api", "field", "value"),
    [(api, field, value) for api, field, least, most, _, _ in LIMITS for value in (least, most)]
    + [(api, field, "x" * length) for api, field, *lengths in PROMPT_LIMITS for length in lengths]
    + [(api, "duration", value) for api, least, most, _, _ in DURATION_LIMITS for value in (least, most)]
    + [(FOLEY, "video_prompt", "🎈" * 500), (HUNYUAN15, "prompt", "e\u0301" * 10), (FOLEY, "audio_prompt", "x" * 200)],
)
def test_value_at_a_limit(api: str, field: str, value: Any) -> None:
    """It is a good input."""
    assert parse(api, **{field: value}).api == api


def test_configured_model_without_weights(tmp_path: Path, forks: Forks) -> None:
    """The worker ends with one line that says how to fetch them."""
    process = forks.run_job(tmp_path, {"prompt": "a cat"}, MODEL="hunyuanvideo", WEIGHTS_DIR=str(tmp_path))
    assert process.returncode == 1
    line = f"The weights of hunyuanvideo are not installed. To fetch them {FETCH['hunyuanvideo']}\n"
    assert process.stderr == line
    assert process.stdout == ""
