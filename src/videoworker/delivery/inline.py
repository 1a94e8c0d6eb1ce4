"""Delivery inside the answer, as a data URI: for small videos on the platform, if nothing else is set up."""

import base64
from pathlib import Path

from videoworker.delivery.destination import Destination
from videoworker.errors import Code, JobError
from videoworker.origin import manifest_beside
from videoworker.request import Result

# In base64 and with an answer around it, this is less than RunPod's smallest documented payload limit, 10 MB.
MOST_BYTES = 7_000_000


class Inline(Destination):
    """Delivers as `data:video/<container>;base64,...`."""

    def check_size(self, num_bytes: int) -> None:
        if num_bytes > MOST_BYTES:
            raise JobError(
                Code.OUTPUT_TOO_LARGE,
                f"The video takes about {num_bytes} bytes; without a bucket at most {MOST_BYTES} can be sent. Ask for "
                "a smaller or shorter video, or set BUCKET_ENDPOINT_URL, BUCKET_ACCESS_KEY_ID, "
                "BUCKET_SECRET_ACCESS_KEY and BUCKET_NAME on the endpoint.",
            )

    def deliver(self, path: Path, result: Result) -> Result:
        manifest = manifest_beside(path)
        manifest_url = _data_url("application/c2pa", manifest) if manifest.exists() else None
        return result.at(_data_url(f"video/{result.video.container}", path), manifest_url)


def _data_url(content_type: str, path: Path) -> str:
    return f"data:{content_type};base64,{base64.b64encode(path.read_bytes()).decode()}"
