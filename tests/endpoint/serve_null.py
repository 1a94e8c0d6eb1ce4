"""An endpoint with two supervised workers whose handler makes nothing: `videoworker serve` without weights.

Workers ask for jobs more often than of `videoworker serve`, so one that no longer does is noticed sooner.

python serve_null.py --port 0
"""

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.servers.endpoint import NULL_HANDLER
from videoworker.endpoint import server, worker_routes
from videoworker.endpoint.settings import settings


def main(port: Annotated[int, typer.Option()]) -> None:
    sock = socket.create_server(("127.0.0.1", port))
    at = f"http://127.0.0.1:{sock.getsockname()[1]}"
    print(f"serving {at}/v2/local", flush=True)
    worker_routes.POLL_SECONDS = 2.0
    command = [sys.executable, NULL_HANDLER]
    server.serve(server.Place(sock, at, Path("files")), server.Workers(command, [{"HOME": os.devnull}] * 2), settings())


if __name__ == "__main__":
    typer.run(main)
