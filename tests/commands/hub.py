"""A hub on this machine: what huggingface_hub asks of the real one, over HTTP, for repositories that are folders."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from videoworker.models import CHECKPOINTS

MAIN = "0a5f4f8f5f5b7a6f2d9f4b4e1f0d6c3b2a190807"
_CHECKPOINTS = [checkpoint for checkpoints in CHECKPOINTS.values() for checkpoint in checkpoints]
_ORIGINS = [origin for checkpoint in _CHECKPOINTS for origin in checkpoint.origins]
_PINS = {checkpoint.repository: checkpoint.revision for checkpoint in _CHECKPOINTS if checkpoint.revision} | {
    origin.repository: origin.revision for origin in _ORIGINS if origin.revision
}


class Hub(ThreadingHTTPServer):
    """Serves `repositories`, folders by id, as what their `main` is, and `commits`, folders by id and commit: at first
    the same folders at the commits that the declarations pin. A file in `broken` loses its first connection after so
    many bytes; one in `held` sends nothing until `released` is set, and sets `reached`. One in `damaged`
    comes as zeros. `gated` repositories want an accepted licence."""

    daemon_threads = True

    def __init__(self, repositories: dict[str, Path]) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.repositories = repositories
        self.commits = {(name, _PINS[name]): folder for name, folder in repositories.items() if name in _PINS}
        self.broken: dict[str, int] = {}
        self.held: set[str] = set()
        self.damaged: set[str] = set()
        self.gated: set[str] = set()
        self.reached, self.released = threading.Event(), threading.Event()
        self.sent: list[tuple[str, str | None]] = []  # path and Range of every GET of a file

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving(repositories: dict[str, Path]) -> Iterator[Hub]:
    with Hub(repositories) as hub:
        thread = threading.Thread(target=hub.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            hub.released.set()
            hub.shutdown()
            thread.join()


def hub_at(url: str) -> dict[str, str]:
    """huggingface_hub's constants if HF_ENDPOINT is the URL."""
    template = f"{url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    return {"ENDPOINT": url, "HUGGINGFACE_CO_URL_TEMPLATE": template}


def _sibling(name: str, content: bytes) -> dict[str, Any]:
    """What the hub says of a file: of a large one its SHA-256, and git's name of it or of what points to it."""
    known: dict[str, Any] = {"rfilename": name, "size": len(content)}
    if name.endswith(".safetensors"):
        lfs = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return known | {"blobId": "0" * 40, "lfs": lfs}
    return known | {"blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}


class _Request(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._file(body=False)

    def do_GET(self) -> None:
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[:2] != ["api", "models"]:
            return self._file(body=True)
        repository, revision = "/".join(parts[2:4]), parts[5] if len(parts) > 4 else "main"
        if self._refused(repository, revision):
            return None
        files = self._files(repository, revision)
        if parts[4:5] == ["tree"]:
            return self._json(
                [
                    {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                    for name, content in files.items()
                ]
            )
        return self._json(
            {
                "id": repository,
                "sha": MAIN if revision == "main" else revision,
                "siblings": [_sibling(name, content) for name, content in files.items()],
                "tags": [],
            }
        )

    def _file(self, body: bool) -> None:
        owner, name, _, revision, *path = unquote(urlsplit(self.path).path).strip("/").split("/")
        repository, file = f"{owner}/{name}", "/".join(path)
        if self._refused(repository, revision):
            return
        content = self._files(repository, revision)[file]
        tag = hashlib.sha256(content).hexdigest()
        if file in self.server.damaged:
            content = bytes(len(content))
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        self.send_response(206 if asked else 200)
        self.send_header("ETag", f'"{tag}"')
        self.send_header("X-Repo-Commit", MAIN if revision == "main" else revision)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if body:
            self._send(file, content[start:], asked)

    def _send(self, file: str, content: bytes, asked: str | None) -> None:
        self.server.sent.append((file, asked))
        if file in self.server.held:
            self.server.reached.set()
            self.server.released.wait()
        length = self.server.broken.pop(file, None)
        self.wfile.write(content[:length])
        self.close_connection = length is not None

    def _refused(self, repository: str, revision: str) -> bool:
        if repository in self.server.gated:
            code, reason = 403, "GatedRepo"
        elif repository not in self.server.repositories:
            code, reason = 404, "RepoNotFound"
        elif self._folder(repository, revision) is None:
            code, reason = 404, "RevisionNotFound"
        else:
            return False
        self.send_response(code)
        self.send_header("X-Error-Code", reason)
        self.send_header("Content-Length", "0")
        self.end_headers()
        return True

    def _folder(self, repository: str, revision: str) -> Path | None:
        if revision in ("main", MAIN):
            return self.server.repositories[repository]
        return self.server.commits.get((repository, revision))

    def _files(self, repository: str, revision: str) -> dict[str, bytes]:
        folder = self._folder(repository, revision)
        assert folder is not None
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}

    def _json(self, content: Any) -> None:
        encoded = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: what was asked stands in `sent`."""
