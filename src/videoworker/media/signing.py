"""A signed C2PA manifest of a finished video: inside an mp4, beside a webm, which has no place for one.

The operator's certificate and key are read with every video, so a renewed certificate counts from the next one on.
"""

import io
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import c2pa
import numpy as np
import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from pydantic import SecretStr

from videoworker import __version__
from videoworker.canvas import Canvas
from videoworker.errors import Code, JobError
from videoworker.media.file import VideoFile, VideoFormat
from videoworker.origin import SOFTWARE, Origin, manifest_beside
from videoworker.settings import Settings
from videoworker.watch import Watch

_log = structlog.get_logger()

# C2PA's names of the algorithms that sign with a key on a curve (C2PA Specification, "Digital signatures").
_OF_CURVE = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}
_KEYS = "a key on the curve P-256, P-384 or P-521, an RSA key, or an Ed25519 key"

# The library would fetch a manifest to which a file links, wherever that is.
_NO_LINKS = {"verify": {"remote_manifest_fetch": False}}

# The clip that sound was added to, and the action that names it. Of the clips' formats the library reads the first
# alone. As the second it takes a clip's bytes and does not look into them.
_GIVEN = {"title": "video", "relationship": "parentOf", "label": "given"}
_READABLE, _OPAQUE = "video/mp4", "application/octet-stream"
_OPENED = {"action": "c2pa.opened", "parameters": {"ingredientIds": ["given"]}}

_TINY = VideoFormat("mp4", Canvas.whole(16, 16), fps=1, num_frames=1)


@dataclass(frozen=True)
class SigningKey:
    """`certificates` is a chain in PEM, the signer's own first. `private_key` is PKCS #8 in PEM. `timestamp_url` is of
    a time-stamp authority (RFC 3161); None: manifests have no time stamp."""

    certificates: bytes
    private_key: bytes
    algorithm: bytes
    timestamp_url: str | None


class _WatchedFile(io.FileIO):
    """A file that cannot be read any more once the job is cancelled or its time is over."""

    def __init__(self, path: Path, watch: Watch) -> None:
        super().__init__(path)
        self._watch = watch

    def readinto(self, buffer: Any) -> int | None:
        self._watch.check()
        return super().readinto(buffer)


def key_from(settings: Settings) -> SigningKey | None:
    """The operator's key; None if none is set. Raises `JobError` that names the setting which is wrong."""
    certificate, private_key = settings.c2pa_certificate, settings.c2pa_private_key
    if certificate is None and private_key is None:
        if settings.c2pa_timestamp_url is not None:
            raise _wrong("C2PA_TIMESTAMP_URL has no effect without C2PA_CERTIFICATE and C2PA_PRIVATE_KEY.")
        return None
    if certificate is None or private_key is None:
        missing = "C2PA_CERTIFICATE" if certificate is None else "C2PA_PRIVATE_KEY"
        raise _wrong(f"C2PA signing is only half set: {missing} must be set too.")
    chain_pem, key_pem = _pem("C2PA_CERTIFICATE", certificate), _pem("C2PA_PRIVATE_KEY", private_key)
    try:
        public_key = x509.load_pem_x509_certificates(chain_pem)[0].public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _wrong("C2PA_CERTIFICATE: not a chain of certificates in PEM, the signer's own first.") from error
    try:
        key = serialization.load_pem_private_key(key_pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it has a password
        raise _wrong("C2PA_PRIVATE_KEY: not a private key in PEM without a password.") from error
    if (algorithm := _algorithm(key)) is None:
        raise _wrong(f"C2PA_PRIVATE_KEY: C2PA signs with {_KEYS}.")
    if key.public_key() != public_key:
        raise _wrong("C2PA_PRIVATE_KEY: not the key of the first certificate in C2PA_CERTIFICATE.")
    pkcs8 = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return SigningKey(chain_pem, pkcs8, algorithm, settings.c2pa_timestamp_url)


def sign(path: Path, origin: Origin, key: SigningKey, watch: Watch) -> None:
    """Writes a signed manifest into the mp4 at `path`, or beside the webm at `path`.

    Raises `JobError`: GENERATION_FAILED if it cannot be signed, or the watch's, which is checked as the file is read.
    """
    try:
        _sign(path, origin, key, watch)
    except c2pa.C2paError as error:
        watch.check()  # the library does not tell what ended the reading
        _log.error("the video could not be signed", error=_reason(error))
        raise JobError(Code.GENERATION_FAILED, "The video was made but could not be signed.") from error


def prove(key: SigningKey, watch: Watch) -> None:
    """Signs a tiny file and reads it back. Raises `JobError` that names the setting which is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tiny.mp4"
        with VideoFile(path, _TINY) as file:
            file.write(np.zeros((16, 16, 3), np.uint8))
            file.close()
        unstamped = replace(key, timestamp_url=None)
        try:
            _sign(path, Origin("none", "none"), unstamped, watch)
            state = c2pa.Reader(path).get_validation_state()
        except c2pa.C2paError as error:
            message = f"C2PA_CERTIFICATE and C2PA_PRIVATE_KEY cannot sign: {_reason(error)}."
            raise _wrong(message) from error
        if state not in ("Valid", "Trusted"):
            raise _wrong(f"C2PA_CERTIFICATE and C2PA_PRIVATE_KEY make a signature that is read as {state}.")
        if key.timestamp_url is not None:
            try:
                _sign(path, Origin("none", "none"), key, watch)
            except c2pa.C2paError as error:
                raise _wrong("C2PA_TIMESTAMP_URL: no time stamp (RFC 3161) comes from there.") from error


def _sign(path: Path, origin: Origin, key: SigningKey, watch: Watch) -> None:
    builder = c2pa.Builder(_manifest(origin), c2pa.Context.from_dict(_NO_LINKS))
    signed = path.with_name(f"{path.name}.signed")
    if origin.given is not None:
        _add_given(builder, origin.given)
    is_embedded = path.suffix != ".webm"
    if not is_embedded:
        builder.set_no_embed()
    info = c2pa.C2paSignerInfo(key.algorithm, key.certificates, key.private_key, key.timestamp_url)
    with (
        io.BufferedReader(_WatchedFile(path, watch)) as source,
        (signed if is_embedded else Path(os.devnull)).open("w+b") as target,
        c2pa.Signer.from_info(info) as signer,
    ):
        manifest = builder.sign(signer, f"video/{path.suffix[1:]}", source, target)
    if is_embedded:
        signed.replace(path)
    else:
        manifest_beside(path).write_bytes(manifest)


def _add_given(builder: c2pa.Builder, data: bytes) -> None:
    """Makes the clip an ingredient, with the manifest in it if that can be read."""
    try:
        builder.add_ingredient(_GIVEN, _READABLE, io.BytesIO(data))
    except c2pa.C2paError:  # not an mp4, or a manifest that is broken; the message would quote the clip's bytes
        _log.info("the given clip is signed without a manifest of its own")
        builder.add_ingredient(_GIVEN, _OPAQUE, io.BytesIO(data))


def _manifest(origin: Origin) -> dict[str, Any]:
    """The manifest's definition, as the library reads it."""
    agent = {"name": SOFTWARE, "version": __version__}
    made_with = {"model": origin.model, "model_revision": origin.model_revision}
    made = {
        "action": "c2pa.created" if origin.given is None else "c2pa.edited",
        "digitalSourceType": origin.source_type,
        "softwareAgent": agent,
        "parameters": made_with | ({} if origin.prompt is None else {"prompt": origin.prompt}),
    }
    opened = [] if origin.given is None else [_OPENED]
    actions = {"label": "c2pa.actions.v2", "data": {"actions": [*opened, made]}}
    return {"claim_generator_info": [agent], "assertions": [actions]}


def _pem(name: str, given: SecretStr) -> bytes:
    """The setting's own text if that is PEM, else the content of the file that it names."""
    text = given.get_secret_value()
    if "-----BEGIN" in text:
        return text.replace("\\n", "\n").encode()  # forms of one line are often filled in like this
    try:
        return Path(text).read_bytes()
    except OSError as error:
        raise _wrong(f"{name}: neither PEM nor a file that can be read ({error.strerror}).") from error


def _algorithm(key: PrivateKeyTypes) -> bytes | None:
    match key:
        case EllipticCurvePrivateKey():
            return _OF_CURVE.get(key.curve.name)
        case RSAPrivateKey():
            return b"ps256"
        case Ed25519PrivateKey():
            return b"ed25519"
        case _:
            return None


def _reason(error: c2pa.C2paError) -> str:
    """In the library's words, without the URL that it may name: that can have a password in it."""
    return str(error).removeprefix("Signature: ").partition(" for url ")[0]


def _wrong(message: str) -> JobError:
    return JobError(Code.GENERATION_FAILED, message)
