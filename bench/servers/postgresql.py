"""A PostgreSQL server for tests, in a temporary folder and on a Unix socket in it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgresql(*options: str) -> Iterator[str]:
    """Yields the URL of its database. `options`: settings of the server, as `fsync=off`."""
    (binaries,) = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    # the server refuses to run as root
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    folder = tempfile.mkdtemp(prefix="pg-")
    try:
        if user:
            shutil.chown(folder, "postgres")
        data = f"{folder}/data"

        def run(*command: str) -> None:
            subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, **user)  # type: ignore[call-overload]

        run(
            str(binaries / "initdb"),
            "-D",
            data,
            "-A",
            "trust",
            "-U",
            "postgres",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        )
        configured = [
            f"-c {option}" for option in ("listen_addresses=''", f"unix_socket_directories={folder}", *options)
        ]
        pg_ctl = [str(binaries / "pg_ctl"), "-D", data, "-w", "-l", f"{folder}/log"]
        run(*pg_ctl, "-o", " ".join(configured), "start")
        try:
            yield f"postgresql://postgres@/postgres?host={folder}"
        finally:
            run(*pg_ctl, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)
