"""What marks a file, as other programs read it."""

import itertools
import json
import struct
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import c2pa
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from structlog.testing import capture_logs

from tests.delivery import videos
from tests.media import clips, manifests
from tests.media.certificates import Signer, signer
from tests.media.test_download import Server
from tests.media.timestamps import authority
from tests.watches import unheard, watch_that
from videoworker import __version__
from videoworker.errors import Code, JobError
from videoworker.media import marks
from videoworker.origin import TRAINED_ALGORITHMIC_MEDIA, Origin, manifest_beside
from videoworker.request import Container
from videoworker.settings import Settings
from videoworker.watch import Watch

both = pytest.mark.parametrize("container", ["mp4", "webm"])
ORIGIN = Origin('a & "b" <c>', "1f0c, 2a")
SOFTWARE = {"name": "videoworker", "version": __version__}


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def key() -> Signer:
    return signer()


def settings(given: Signer | None = None, **more: Any) -> Settings:
    signing = {name.lower(): value for name, value in given.settings().items()} if given else {}
    return Settings(**signing | more)


def marked(path: Path, current: Settings, origin: Origin = ORIGIN) -> list[str]:
    return list(marks.mark(path, origin, current, watch_that()))


@pytest.mark.needs_libimage_exiftool_perl
def test_xmp(tmp_path: Path) -> None:
    path = videos.file(tmp_path)
    assert marked(path, settings()) == ["iptc"]
    (read,) = json.loads(subprocess.check_output(["exiftool", "-json", "-G1", "-n", "-all", "-validate", str(path)]))
    assert read["XMP-iptcExt:DigitalSourceType"] == TRAINED_ALGORITHMIC_MEDIA
    assert read["XMP-iptcExt:AISystemUsed"] == ORIGIN.model
    assert read["XMP-iptcExt:AISystemVersionUsed"] == ORIGIN.model_revision
    assert read["XMP-xmp:CreatorTool"] == f"videoworker {__version__}"
    assert read["ExifTool:Validate"] == "0 0 0"


@both
def test_equal_files_stay_equal(tmp_path: Path, container: Container) -> None:
    contents = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        path = videos.file(tmp_path / name, container)
        marked(path, settings())
        contents.add(path.read_bytes())
    assert len(contents) == 1


@both
def test_unmarked(tmp_path: Path, container: Container, key: Signer) -> None:
    path = videos.file(tmp_path, container)
    before = path.read_bytes()
    assert marked(path, settings(key, mark=False)) == []
    assert marks.tags(settings(mark=False)) == {}
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


@both
@pytest.mark.parametrize("prompt", ["a red circle \U0001f534", None])
def test_manifest(tmp_path: Path, container: Container, key: Signer, prompt: str | None) -> None:
    path = videos.file(tmp_path, container)
    assert marked(path, settings(key), Origin("sketch", "1f0c", prompt)) == ["iptc", "c2pa"]
    beside = manifest_beside(path)
    assert beside.exists() is (container == "webm")
    sidecar = beside.read_bytes() if beside.exists() else None
    content = path.read_bytes()
    state, action = manifests.read(content, container, sidecar)
    assert state == "Valid"
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", TRAINED_ALGORITHMIC_MEDIA)
    assert action["softwareAgent"] == SOFTWARE
    told = {"model": "sketch", "model_revision": "1f0c"} | ({"prompt": prompt} if prompt else {})
    assert action["parameters"] == told
    pictures = content.rindex(b"mdat") + 50 if container == "mp4" else len(content) // 2
    for at in (pictures, len(content) - 1):
        changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        assert manifests.read(changed, container, sidecar)[0] == "Changed"


def with_box(data: bytes, kind: str, content: bytes) -> bytes:
    """An mp4 with one more box, of the user type `kind` in hexadecimal."""
    return data + struct.pack(">I4s16s", 24 + len(content), b"uuid", bytes.fromhex(kind)) + content


XMP_BOX, C2PA_BOX = "BE7ACFCB97A942E89C71999491E3AFAC", "D8FEC3D61B0E483C92975828877EC481"
CLIP = clips.clip(clips.shades(4))
CLIPS = {
    "mp4": CLIP,
    "old mov": CLIP[int.from_bytes(CLIP[:4]) :],
    "mkv": clips.clip(clips.shades(4), clips.Kind("matroska", options=())),
    "broken manifest": with_box(CLIP, C2PA_BOX, b"\0\0\0\0manifest\0" + 99 * b"x"),
}


def sign_given(path: Path, key: Signer, data: bytes) -> list[dict[str, Any]]:
    """The ingredients of `path`, whose picture is of the clip `data`."""
    assert marked(path, settings(key), Origin("foley", "1f0c", given=data)) == ["iptc", "c2pa"]
    state, actions, ingredients = manifests.history(path.read_bytes(), "mp4")
    assert (state, [action["action"] for action in actions]) == ("Valid", ["c2pa.opened", "c2pa.edited"])
    assert len(ingredients) == len(actions[0]["parameters"]["ingredients"]) == 1
    return ingredients


@pytest.mark.parametrize("data", CLIPS.values(), ids=CLIPS)
def test_given(tmp_path: Path, key: Signer, data: bytes) -> None:
    """A clip is an ingredient, whether the library can read it or not."""
    sign_given(videos.file(tmp_path), key, data)


def test_given_with_its_own_manifest(tmp_path: Path, key: Signer) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    original = videos.file(tmp_path / "one")
    marked(original, settings(key))
    (ingredient,) = sign_given(videos.file(tmp_path / "two"), key, original.read_bytes())
    assert ingredient["active_manifest"]


def test_given_with_a_link(tmp_path: Path, key: Signer, server: Server) -> None:
    """Nobody asks for the manifest that a clip says to lie elsewhere."""
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" xmlns:dcterms="http://purl.org/dc/terms/" '
        f'dcterms:provenance="{server.url}/status/404"/></rdf:RDF></x:xmpmeta>'
    )
    sign_given(videos.file(tmp_path), key, with_box(CLIP, XMP_BOX, xmp.encode()))
    assert server.asked == []


@pytest.mark.needs_openssl
def test_time_stamp(tmp_path: Path, key: Signer) -> None:
    (tmp_path / "authority").mkdir()
    path = videos.file(tmp_path)
    with authority(tmp_path / "authority") as url:
        stamped = settings(key, c2pa_timestamp_url=url)
        marks.prove(stamped, watch_that())
        marked(path, stamped)
    results = c2pa.Reader(path).get_validation_results()["activeManifest"]
    assert "timeStamp.validated" in {status["code"] for status in results["success"]}


def keys() -> Iterator[Any]:
    yield from (ec.generate_private_key(curve) for curve in (ec.SECP384R1(), ec.SECP521R1()))
    yield rsa.generate_private_key(65537, 2048)
    yield ed25519.Ed25519PrivateKey.generate()


def test_each_kind_of_key_signs() -> None:
    for own in keys():
        marks.prove(settings(signer(own)), watch_that())


def test_forms_of_a_key(tmp_path: Path, key: Signer) -> None:
    """Files, PEM with escaped line ends, and OpenSSL's older form of a key on a curve."""
    (tmp_path / "chain.pem").write_text(key.chain)
    (tmp_path / "key.pem").write_text(key.pem(PrivateFormat.TraditionalOpenSSL))
    chains = [str(tmp_path / "chain.pem"), key.chain.replace("\n", "\\n")]
    keys = [str(tmp_path / "key.pem"), key.pem().replace("\n", "\\n")]
    for chain, private in itertools.product(chains, keys):
        marks.prove(Settings(c2pa_certificate=chain, c2pa_private_key=private), watch_that())


SECRET = "/a/secret/place"
WRONG: dict[str, tuple[dict[str, str], str]] = {
    "no key": ({"c2pa_private_key": ""}, "only half set: C2PA_PRIVATE_KEY must"),
    "no certificate": ({"c2pa_certificate": ""}, "only half set: C2PA_CERTIFICATE must"),
    "no file": ({"c2pa_private_key": SECRET}, "C2PA_PRIVATE_KEY: neither PEM nor a file"),
    "not PEM": ({"c2pa_certificate": f"-----BEGIN {SECRET}"}, "C2PA_CERTIFICATE: not a chain"),
    "not a key": ({"c2pa_private_key": f"-----BEGIN {SECRET}"}, "C2PA_PRIVATE_KEY: not a private key"),
    "another's key": ({"c2pa_private_key": signer().pem()}, "C2PA_PRIVATE_KEY: not the key of the first certificate"),
    "a password": ({"c2pa_private_key": signer().pem(password=b"x")}, "C2PA_PRIVATE_KEY: not a private key"),
    "other curve": (
        {"c2pa_private_key": signer(ec.generate_private_key(ec.SECP256K1())).pem()},
        "C2PA_PRIVATE_KEY: C2PA signs with",
    ),
    "no time stamps": ({"c2pa_timestamp_url": "http://127.0.0.1:9/secret"}, "C2PA_TIMESTAMP_URL: no time stamp"),
}


@pytest.mark.parametrize(("wrong", "told"), WRONG.values(), ids=WRONG)
def test_wrong_setting(key: Signer, wrong: dict[str, str], told: str) -> None:
    given: dict[str, Any] = {name.lower(): value for name, value in key.settings().items()} | wrong
    with pytest.raises(JobError) as caught:
        marks.prove(Settings(**{name: value or None for name, value in given.items()}), watch_that())
    assert told in caught.value.line
    assert "secret" not in caught.value.line and "\n" not in caught.value.line


@pytest.mark.parametrize(
    ("own", "told"),
    [
        (signer(valid_days=1), "not valid at time of signing"),
        (signer(purpose=ExtendedKeyUsageOID.SERVER_AUTH), "certificate is invalid"),
    ],
    ids=["expired", "a web server's"],
)
def test_certificate_that_does_not_count(own: Signer, told: str) -> None:
    with pytest.raises(JobError) as caught:
        marks.prove(settings(own), watch_that())
    assert caught.value.line.startswith("C2PA_CERTIFICATE and C2PA_PRIVATE_KEY cannot sign: ")
    assert told in caught.value.line


def test_timestamp_url_alone() -> None:
    with pytest.raises(JobError, match="no effect without C2PA_CERTIFICATE"):
        marks.prove(Settings(c2pa_timestamp_url="http://127.0.0.1:9/"), watch_that())


def test_log_says_that_nothing_is_marked(key: Signer) -> None:
    for current, lines in ((settings(key, mark=False), 1), (settings(key), 0), (settings(), 0)):
        with capture_logs() as logged:
            marks.prove(current, watch_that())
        assert len(logged) == lines
        assert all("MARK is false" in line["event"] for line in logged)


@both
def test_cancel_while_it_is_signed(tmp_path: Path, key: Signer, container: Container) -> None:
    path, watch = videos.file(tmp_path, container), Watch("a", unheard, 1000.0)
    watch.cancel.set()
    with pytest.raises(JobError) as caught:
        marks.mark(path, ORIGIN, settings(key), watch)
    assert caught.value.code is Code.CANCELLED


def test_key_that_signs_no_more(tmp_path: Path) -> None:
    """A caller is told that it was not signed. The log says why."""
    with capture_logs() as logged, pytest.raises(JobError) as caught:
        marked(videos.file(tmp_path), settings(signer(valid_days=1)))
    assert caught.value.code is Code.GENERATION_FAILED
    assert caught.value.message == "The video was made but could not be signed."
    assert [line["error"] for line in logged] == ["the certificate was not valid at time of signing"]


def test_authority_is_not_named(tmp_path: Path, key: Signer) -> None:
    """Its URL may have a password in it."""
    with capture_logs() as logged, pytest.raises(JobError) as caught:
        marked(videos.file(tmp_path), settings(key, c2pa_timestamp_url="http://me:hush@127.0.0.1:9/"))
    assert caught.value.retryable and "error sending request" in logged[0]["error"]
    assert not any("127.0.0.1" in told or "hush" in told for told in (logged[0]["error"], caught.value.line))
