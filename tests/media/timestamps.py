"""A time-stamp authority (RFC 3161) on this machine, by OpenSSL."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.media.certificates import signer

_CONFIGURATION = """
[tsa]
default_tsa = here
[here]
serial = serial
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
"""
_REPLY = "openssl ts -reply -config tsa.cnf -signer chain.pem -chain chain.pem -inkey key.pem -queryfile query"


@contextmanager
def authority(folder: Path) -> Iterator[str]:
    """Gives the URL that it answers at; `folder` is empty and its own."""
    own = signer(purpose=ExtendedKeyUsageOID.TIME_STAMPING)
    for name, content in {"chain.pem": own.chain, "key.pem": own.pem(), "tsa.cnf": _CONFIGURATION}.items():
        (folder / name).write_text(content)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            (folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            reply = subprocess.run(_REPLY.split(), cwd=folder, capture_output=True, check=True).stdout
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            """Nothing of it is to be read."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
