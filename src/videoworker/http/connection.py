"""One connection: HTTP/1.1 by h11 and uvicorn, within limits that hold before any request reaches the application.

A connection ends if a head, a body or the reading of an answer takes too long. `check` looks at that from time to time.
"""

import asyncio
import json
import socket
import struct
import sys
from http import HTTPStatus
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from videoworker.http.admission import Admission, network

# h11 takes some microseconds for each chunk, all at once. Nobody needs so many: a chunk of 1 KiB is a small one.
_MAX_CHUNKS = 10_000

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time


class Connection(H11Protocol):
    """uvicorn makes one for each connection that it accepts."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: Admission,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._admission, self._limits = server_state, server_state.limits
        self.conn = _Parser(self._limits.head_bytes)
        self.network = ""
        self._receiving: object = None  # what is being received, so that a change is seen
        self._since = 0.0
        self._unread: tuple[float, int] | None = None  # since when how many bytes of answers are not taken

    @property
    def has_asked(self) -> bool:
        return self.cycle is not None

    @property
    def is_owed(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.network = network(self.client[0]) if self.client else ""
        if not self._admission.enter(self):
            self.logger.warning("Connections of %s are refused: it has too many.", self.network)
            self._refuse(503, "There are too many connections.")

    def connection_lost(self, exc: Exception | None) -> None:
        self._admission.leave(self)
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._unread = None
        super().resume_writing()

    def check(self, now: float) -> None:
        self._check_reader(now)
        if not self.transport.is_closing():
            self._check_sender(now)

    def drop(self) -> None:
        """The kernel forgets the bytes that nobody reads."""
        self._admission.leave(self)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP. uvicorn calls it while it handles h11's error."""
        error = sys.exception()
        assert isinstance(error, h11.RemoteProtocolError)
        if error.error_status_hint == 431:
            msg = f"The request's line and headers are larger than {self._limits.head_bytes} bytes."
        self._refuse(error.error_status_hint, msg)

    def _should_upgrade(self) -> bool:
        """A server may leave out any upgrade. uvicorn would log each one."""
        return False

    def _check_reader(self, now: float) -> None:
        unread = self.transport.get_write_buffer_size()
        if not unread:
            self._unread = None
        elif self._unread is None:
            self._unread = now, unread
        elif now - self._unread[0] > self._limits.unread_seconds:
            if unread > self._unread[1] - self._limits.unread_bytes:
                self.drop()
            else:
                self._unread = now, unread

    def _check_sender(self, now: float) -> None:
        state = self.conn.their_state
        # Between two requests uvicorn's own timer runs. A part of the next one may be there already.
        is_idle = state is h11.IDLE and self.timeout_keep_alive_task is not None and not self.conn.trailing_data[0]
        receiving = None if is_idle else (state, self.cycle)
        if receiving != self._receiving:
            self._receiving, self._since = receiving, now
        elif state is h11.IDLE and receiving and now - self._since > self._limits.head_seconds:
            if self.conn.trailing_data[0]:
                self._refuse(408, f"The request's head did not arrive within {self._limits.head_seconds:.0f} seconds.")
            else:
                self.drop()
        elif state is h11.SEND_BODY and now - self._since > self._limits.body_seconds:
            self.drop()

    def _refuse(self, status: int, message: str) -> None:
        """Answers, if no answer has begun, and closes. The application hears that the caller is gone."""
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": message}).encode()
            headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
            head = h11.Response(
                status_code=status,
                headers=[*headers, ("connection", "close")],
                reason=HTTPStatus(status).phrase,
            )
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Parser(h11.Connection):
    """h11, which alone only limits what has not arrived yet."""

    def __init__(self, max_head: int) -> None:
        super().__init__(h11.SERVER, max_head)
        self._max_head = max_head
        self._chunks = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = 0
            if len(event.target) + sum(len(name) + len(value) for name, value in event.headers) > self._max_head:
                raise h11.RemoteProtocolError("The head is too large.", error_status_hint=431)
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_start
            if self._chunks > _MAX_CHUNKS:
                raise h11.RemoteProtocolError("The body has too many chunks.")
        return event
