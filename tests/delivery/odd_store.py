"""A store on this machine that answers as some stores do, and as none should."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class OddStore(ThreadingHTTPServer):
    """Keeps what is put. `odd` may answer a request itself, and returns whether it has."""

    daemon_threads = True

    def __init__(self, odd: Callable[["Request"], bool]) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.odd, self.kept, self.over = odd, dict[str, bytes](), threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Request(BaseHTTPRequestHandler):
    server: OddStore
    protocol_version = "HTTP/1.1"

    @property
    def is_presigned(self) -> bool:
        return "X-Amz-Signature" in self.path

    @property
    def is_signed_for(self) -> str:
        """The region."""
        where = self.path.replace("%2F", "/") if self.is_presigned else self.headers.get("Authorization", "")
        return where.partition("Credential=")[2].split("/")[2]

    def respond(self, status: int, body: bytes = b"", **headers: str) -> bool:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        return True

    def error(self, status: int, code: str, more: str = "", **headers: str) -> bool:
        return self.respond(status, f"<Error><Code>{code}</Code>{more}</Error>".encode(), **headers)

    def endless(self, status: int, pause: float) -> bool:
        """A body without an end: as fast as it goes, or one byte after each pause."""
        self.send_response(status)
        self.send_header("Connection", "close")
        self.end_headers()
        while not self.server.over.wait(pause):
            self.wfile.write(b" " if pause else bytes(65536))
        return True

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.server.odd(self):
            self.server.kept[urlsplit(self.path).path] = body
            self.respond(200)

    def do_GET(self) -> None:
        if not self.server.odd(self):
            kept = self.server.kept.get(urlsplit(self.path).path)
            self.error(404, "NoSuchKey") if kept is None else self.respond(200, kept)

    def do_DELETE(self) -> None:
        if not self.server.odd(self):
            self.server.kept.pop(urlsplit(self.path).path, None)
            self.respond(204)

    do_HEAD = do_GET

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):  # the other side has had enough, as it should
            super().handle()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def odd_store(odd: Callable[[Request], bool] = lambda request: False) -> Iterator[OddStore]:
    server = OddStore(odd)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
