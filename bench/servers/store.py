"""OpenStack Swift as a process of its own, and buckets in it as a test sees them."""

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from videoworker.settings import Settings

ACCESS_KEY, SECRET = "tests:worker", "not-a-real-secret"


@dataclass(frozen=True)
class Store:
    """A bucket as the test sees it, by a client of its own."""

    port: int
    name: str
    client: Any

    def keys(self) -> list[str]:
        return sorted(found["Key"] for found in self.client.list_objects_v2(Bucket=self.name).get("Contents", []))

    def open_uploads(self) -> list[str]:
        found = self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])
        return [upload["Key"] for upload in found]

    def read(self, key: str) -> bytes:
        body: bytes = self.client.get_object(Bucket=self.name, Key=key)["Body"].read()
        return body

    def settings(self, folder: Path, **changed: Any) -> Settings:
        """Those of a worker that delivers here; `folder` is its OUTPUT_DIR."""
        ours: dict[str, Any] = {
            "output_dir": folder,
            "bucket_endpoint_url": f"http://127.0.0.1:{self.port}",
            "bucket_access_key_id": ACCESS_KEY,
            "bucket_secret_access_key": SECRET,
            "bucket_name": self.name,
            "bucket_prefix": "made/here",
        }
        return Settings(**ours | changed)


@contextmanager
def swift(folder: Path) -> Iterator[int]:
    """Gives the port where it serves S3; `folder` is empty and its own."""
    command = ["/usr/bin/python3", str(Path(__file__).with_name("swift_server.py"))]
    with subprocess.Popen([*command, str(folder)], stdout=subprocess.PIPE, env={}) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def client_for(port: int) -> Any:
    config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=config,
    )


def new_bucket(port: int) -> Store:
    client, name = client_for(port), f"bucket-{uuid.uuid4().hex}"
    client.create_bucket(Bucket=name)
    return Store(port, name, client)
