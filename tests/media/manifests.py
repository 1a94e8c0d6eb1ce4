"""C2PA manifests, read by the library's own reader."""

import io
from typing import Any

import c2pa


def read(content: bytes, container: str, manifest: bytes | None = None) -> tuple[str, dict[str, Any]]:
    """How the manifest of `content` is judged, and its one action. Nobody trusts the authorities of the tests."""
    reader = c2pa.Reader(f"video/{container}", io.BytesIO(content), manifest)
    failures = {status["code"] for status in reader.get_validation_results()["activeManifest"]["failure"]}
    (assertion,) = [
        one for one in reader.get_active_manifest()["assertions"] if one["label"].startswith("c2pa.actions")
    ]
    (action,) = assertion["data"]["actions"]
    return str(reader.get_validation_state()) if failures <= {"signingCredential.untrusted"} else "Changed", action
