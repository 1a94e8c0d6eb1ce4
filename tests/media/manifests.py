"""C2PA manifests, read by the library's own reader."""

import io
from typing import Any

import c2pa


def read(content: bytes, container: str, manifest: bytes | None = None) -> tuple[str, dict[str, Any]]:
    """How the manifest of `content` is judged, and its one action. Nobody trusts the authorities of the tests."""
    state, (action,), _ = history(content, container, manifest)
    return state, action


def history(
    content: bytes, container: str, manifest: bytes | None = None
) -> tuple[str, list[dict[str, Any]], list[dict[str, Any]]]:
    """As `read`, with all actions, and the ingredients."""
    reader = c2pa.Reader(f"video/{container}", io.BytesIO(content), manifest)
    failures = {status["code"] for status in reader.get_validation_results()["activeManifest"]["failure"]}
    active = reader.get_active_manifest()
    (assertion,) = [one for one in active["assertions"] if one["label"].startswith("c2pa.actions")]
    state = str(reader.get_validation_state()) if failures <= {"signingCredential.untrusted"} else "Changed"
    return state, assertion["data"]["actions"], active.get("ingredients", [])
