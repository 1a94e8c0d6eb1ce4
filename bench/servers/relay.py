"""A way to an HTTP server, one request at a time, that fails on purpose."""

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import requests

_SECONDS = 60.0  # for which the server's answer is waited for
_OWN = {"connection", "content-length", "date", "keep-alive", "server", "transfer-encoding"}  # of each connection


class Relay:
    """A context manager: serves on a free port of this machine, on threads of its own.

    `target`: the server's URL, without a path. `status`: what every request is answered with meanwhile; None: what the
    server answers. `lost`: how many of the next answers to POST are lost, after the server has had the request.
    """

    def __init__(self) -> None:
        self.target = ""
        self.status: int | None = None
        self.lost = 0
        self._is_away = False
        self._port = 0

    def __enter__(self) -> Self:
        self._listen()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._is_away:
            self._close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def leave(self) -> None:
        """Nobody listens any more, and open connections end without an answer."""
        if not self._is_away:
            self._is_away = True
            self._close()

    def come_back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._listen()

    def _listen(self) -> None:
        self._server = _Server(("127.0.0.1", self._port), _Handler)
        self._server.relay = self
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def _close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> requests.Response | int | None:
        """What is answered, or only its status. None: nothing, the connection ends."""
        if self._is_away:
            return None
        if self.status is not None:
            return self.status
        try:
            answer = requests.request(
                method, f"{self.target}{path}", data=body, headers=headers, timeout=_SECONDS, allow_redirects=False
            )
        except requests.RequestException:
            return None
        if method == "POST" and self.lost:
            self.lost -= 1
            return None
        return answer


class _Server(ThreadingHTTPServer):
    relay: Relay
    daemon_threads = True

    def handle_error(self, request: socket.socket | Any, client_address: Any) -> None:
        """The caller may be gone: it may have been killed."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _OWN | {"host"}}
        answer = self.server.relay.answer(self.command, self.path, headers, body)
        if answer is None:
            self.close_connection = True
            return
        status, told, content = (answer, {}, b"") if isinstance(answer, int) else _parts(answer)
        self.send_response(status)
        for name, value in told.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = _answer

    def log_message(self, *_: object) -> None:
        pass


def _parts(answer: requests.Response) -> tuple[int, dict[str, str], bytes]:
    told = {name: value for name, value in answer.headers.items() if name.lower() not in _OWN}
    return answer.status_code, told, answer.content
