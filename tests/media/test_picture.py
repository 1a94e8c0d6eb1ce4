"""Pictures as callers send them: good in every form, and bad in every way."""

import base64
import io
import struct
import zlib
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.media.pictures import BLUE, GREEN, RED, encoded, flat
from videoworker.errors import Code, JobError
from videoworker.media.picture import MAX_BYTES, decode_picture
from videoworker.media.picture_decoder import MAX_PIXELS, MIN_SIDE, decode

LOSSLESS: list[tuple[str, dict[str, Any]]] = [("PNG", {}), ("WEBP", {"lossless": True})]
COLOURFUL = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)


def refusal(image: str, allowed: str) -> JobError:
    with pytest.raises(JobError) as raised:
        decode_picture(image, "last_image")
    error = raised.value
    assert error.code is Code.INVALID_IMAGE
    [problem] = error.fields
    assert problem.field == "last_image"
    assert allowed in problem.allowed
    assert len(problem.given) < 120
    return error


def png_of_size(width: int, height: int) -> str:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(("format", "options"), LOSSLESS)
def test_every_pixel_of_a_lossless_picture_arrives(format: str, options: dict[str, Any]) -> None:
    text = encoded(Image.fromarray(COLOURFUL), format, **options)
    pixels = decode_picture(text, "image")
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, COLOURFUL)


def test_a_jpeg_arrives() -> None:
    pixels = decode_picture(encoded(Image.fromarray(flat(32, 24, (200, 40, 90))), "JPEG", quality=95), "image")
    assert pixels.shape == (24, 32, 3)
    assert np.abs(pixels.astype(int) - (200, 40, 90)).max() <= 3


@pytest.mark.parametrize("head", ["data:image/png;base64,", "DATA:IMAGE/PNG;BASE64,", "data:image/jpeg;base64,", ""])
def test_a_data_uri_and_base64_alone_are_the_same(head: str) -> None:
    assert np.array_equal(decode_picture(head + encoded(Image.fromarray(COLOURFUL)), "image"), COLOURFUL)


PLUSES = next(  # a picture whose base64 has a + and a /, and so many + that nothing else can be meant
    text
    for seed in range(1000)
    if "/" in (text := encoded(Image.fromarray(np.random.default_rng(seed).integers(0, 255, (16, 16, 3), np.uint8))))
    and text.count("+") % 4 == 1
)


@pytest.mark.parametrize(
    "text",
    [
        PLUSES.rstrip("="),
        PLUSES.replace("+", "-").replace("/", "_"),
        PLUSES.replace("+", "-").replace("/", "_").rstrip("="),
        PLUSES.replace("+", " "),
        f"{PLUSES[:40]} {PLUSES[40:]}",
        f"data:image/png;base64,{quote(PLUSES, safe='')}",
        f"data:image/png;charset=utf-8;base64,{PLUSES.rstrip('=')}",
        f"data:image/png,{quote(base64.b64decode(PLUSES))}",
    ],
    ids=["no padding", "URL-safe", "URL-safe, no padding", "lost plus", "blank", "percent", "parameter", "no base64"],
)
def test_forms_of_base64(text: str) -> None:
    assert np.array_equal(decode_picture(text, "image"), decode_picture(PLUSES, "image"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{PLUSES[:8]}!{PLUSES[8:]}", "wrong at character 9 ('!')"),
        ("ab+d-fgh", "two alphabets"),
        ("abc=defg", "before its end"),
        ("abcde", "cut off"),
        ("ab cd ef gh ij", "blanks"),
    ],
)
def test_what_is_wrong_with_base64(text: str, told: str) -> None:
    refusal(text, told)


def test_line_breaks_in_base64_do_not_matter() -> None:
    text = encoded(Image.fromarray(COLOURFUL))
    folded = "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    assert np.array_equal(decode_picture(f" {folded}\n", "image"), COLOURFUL)


def test_a_picture_lying_on_its_side_is_put_upright() -> None:
    upright = np.concatenate([flat(32, 16, RED), flat(32, 16, BLUE)])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    lying = Image.fromarray(np.rot90(upright)).resize((32, 32))
    pixels = decode_picture(encoded(lying, "PNG", exif=exif), "image")
    assert tuple(pixels[2, 16]) == RED
    assert tuple(pixels[-3, 16]) == BLUE


def test_what_is_transparent_becomes_white() -> None:
    picture = Image.new("RGBA", (32, 32), (*RED, 255))
    picture.paste((0, 0, 0, 0), (0, 0, 16, 32))
    picture.paste((0, 0, 0, 128), (0, 0, 16, 16))
    pixels = decode_picture(encoded(picture), "image")
    assert tuple(pixels[24, 8]) == (255, 255, 255)
    assert np.abs(pixels[8, 8].astype(int) - 127).max() <= 1
    assert tuple(pixels[8, 24]) == RED


def test_a_transparent_palette_entry_becomes_white() -> None:
    picture = Image.new("P", (32, 32), 0)
    picture.putpalette([*GREEN, *BLUE])
    picture.paste(1, (0, 0, 16, 32))
    pixels = decode_picture(encoded(picture, transparency=0), "image")
    assert tuple(pixels[8, 24]) == (255, 255, 255)
    assert tuple(pixels[8, 8]) == BLUE


@pytest.mark.parametrize(
    ("picture", "format", "expected"),
    [
        (Image.new("L", (32, 32), 90), "PNG", (90, 90, 90)),
        (Image.new("1", (32, 32), 1), "PNG", (255, 255, 255)),
        (Image.new("LA", (32, 32), (90, 255)), "PNG", (90, 90, 90)),
        (Image.fromarray(np.full((32, 32), 90 * 256 + 200, np.uint16)), "PNG", (90, 90, 90)),
        (Image.new("CMYK", (32, 32), (0, 255, 255, 0)), "JPEG", RED),
        (Image.new("L", (32, 32), 90), "JPEG", (90, 90, 90)),
    ],
    ids=["grey", "black and white", "grey with alpha", "16-bit grey", "CMYK", "grey JPEG"],
)
def test_every_kind_of_pixel_becomes_rgb(picture: Image.Image, format: str, expected: tuple[int, int, int]) -> None:
    pixels = decode_picture(encoded(picture, format), "image")
    assert pixels.shape == (32, 32, 3)
    assert np.abs(pixels.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_a_moving_picture_gives_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in (RED, GREEN, BLUE)]
    text = encoded(frames[0], format, save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(decode_picture(text, "image"), flat(32, 32, RED))


@pytest.mark.parametrize("format", ["GIF", "BMP", "TIFF", "PPM", "ICO", "PDF"])
def test_no_other_format_is_let_in_whatever_the_uri_says(format: str) -> None:
    text = encoded(Image.new("RGB", (32, 32)), format)
    refusal(text, "JPEG, PNG or WebP")
    refusal(f"data:image/png;base64,{text}", "JPEG, PNG or WebP")


@pytest.mark.parametrize(
    "image",
    [
        "",
        " ",
        "not base64!",
        "aGVsbG8",
        "aGVsbG8=",
        "data:image/png;base64,",
        "data:image/png;base64,%%%%",
        "bildä",
        "🦊",
    ],
)
def test_what_is_no_picture_is_refused(image: str) -> None:
    refusal(image, "JPEG, PNG or WebP")


@pytest.mark.parametrize("head", ["data:", "data:,", "data:text/plain;base64,", "data:image/png,", "data:;base64,"])
def test_a_data_uri_of_something_else_is_refused(head: str) -> None:
    refusal(head + encoded(Image.new("RGB", (32, 32))), "data:image/...;base64,")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.com/a.png", "gopher://example.com/", "blob:1"])
def test_a_url_of_another_scheme_is_refused(url: str) -> None:
    refusal(url, "http:// or https://")


def test_the_password_and_the_query_of_a_url_are_not_repeated() -> None:
    error = refusal("https://user:hunter2@example.com/a.png?token=hunter3", "user name or password")
    assert "hunter" not in error.message
    assert "example.com/a.png" in error.message


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
def test_half_a_picture_is_refused(format: str, kept: float) -> None:
    data = base64.b64decode(encoded(Image.fromarray(COLOURFUL), format))
    with pytest.raises(JobError) as raised:
        decode_picture(base64.b64encode(data[: int(len(data) * kept)]).decode(), "image")
    assert raised.value.code is Code.INVALID_IMAGE


def test_the_smallest_side_is_allowed_and_one_less_is_not() -> None:
    assert decode_picture(encoded(Image.new("RGB", (MIN_SIDE, 40))), "image").shape == (40, MIN_SIDE, 3)
    error = refusal(encoded(Image.new("RGB", (40, MIN_SIDE - 1))), f"at least {MIN_SIDE} pixels")
    assert error.fields[0].given == f"40x{MIN_SIDE - 1}"


def test_a_picture_of_too_many_pixels_is_refused_by_its_header_alone() -> None:
    refusal(png_of_size(10_000, MAX_PIXELS // 10_000 + 1), f"at most {MAX_PIXELS} pixels")
    refusal(png_of_size(10_000, MAX_PIXELS // 10_000), "broken")  # the limit itself: looked into, and found empty


@pytest.mark.parametrize("side", [10_000, 60_000, 2**31 - 1])
def test_a_decompression_bomb_is_refused(side: int) -> None:
    refusal(png_of_size(side, side), f"at most {MAX_PIXELS} pixels")


def test_a_picture_of_the_largest_size_in_bytes_is_allowed_and_one_byte_more_is_not() -> None:
    data = base64.b64decode(encoded(Image.fromarray(COLOURFUL)))
    largest = data + bytes(MAX_BYTES - len(data))  # what follows a PNG's end is nobody's business
    assert np.array_equal(decode_picture(base64.b64encode(largest).decode(), "image"), COLOURFUL)
    refusal(base64.b64encode(largest + b"\0").decode(), f"at most {MAX_BYTES} bytes")


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["PNG", "JPEG", "WEBP"]), st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255))))
def test_however_a_picture_is_damaged_it_is_decoded_or_refused(format: str, damage: list[tuple[int, int]]) -> None:
    data = bytearray(base64.b64decode(encoded(Image.fromarray(COLOURFUL), format)))
    for at, value in damage:
        data[at % len(data)] = value
    pixels = io.BytesIO()
    verdict = decode(bytes(data), pixels)
    if verdict.allowed is None and not verdict.is_unknown:
        assert len(pixels.getvalue()) == verdict.width * verdict.height * 3


@given(st.text(st.characters(exclude_characters=":"), max_size=40))
def test_no_text_whatever_is_taken_for_a_picture(text: str) -> None:
    with pytest.raises(JobError):
        decode_picture(text, "image")


def test_pixels_may_be_written_to() -> None:
    pixels = decode_picture(encoded(Image.fromarray(COLOURFUL)), "image")
    pixels[0, 0] = 0


def test_several_pictures_in_one_jpeg_give_the_first() -> None:
    buffer = io.BytesIO()
    first, second = Image.new("RGB", (32, 32), RED), Image.new("RGB", (32, 32), BLUE)
    first.save(buffer, "MPO", save_all=True, append_images=[second], quality=95)
    pixels = decode_picture(base64.b64encode(buffer.getvalue()).decode(), "image")
    assert np.abs(pixels.astype(int) - RED).max() <= 3
