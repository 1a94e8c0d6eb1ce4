"""Images without a daemon or a registry: buildah builds the real Dockerfile, on a base that mmdebstrap makes."""

import ast
import configparser
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock

from tests.handler_process import ROOT

STORE = ROOT / "build" / "image"
AS_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")
# Bytes of memory that must be free if images are to lie in it: they take about a quarter of that.
ROOMY = 12_000_000_000
BASE = "localhost/base"
# What the Dockerfile wants of its base, as `python:3.11-slim-bookworm` has it.
BASE_PACKAGES = "ca-certificates,python3-venv,python-is-python3"
BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Where the build's RUN steps, and nothing of the image, find the cache of this machine's pip.
PIP_CACHE = "/run/pip-cache"


def command(*words: str) -> str:
    """Runs as root; gives what it prints. A failure shows the end of that."""
    done = subprocess.run([*AS_ROOT, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-6000:]}{done.stderr[-6000:]}"
    return done.stdout.strip()


def buildah(*words: str) -> str:
    return command("buildah", f"--root={STORE}/layers", f"--runroot={STORE}/run", *words)


@contextmanager
def store() -> Iterator[None]:
    """The block may build and run images. They are all gone after it; so is what a killed process left of its own."""
    STORE.parent.mkdir(exist_ok=True)
    with FileLock(STORE.with_suffix(".lock")):
        _clear()
        STORE.mkdir()
        if psutil.virtual_memory().available > ROOMY:  # on a disk, half of the time goes into waiting for it
            command("mount", "-t", "tmpfs", "tmpfs", str(STORE))
        try:
            yield
        finally:
            _clear()


def build(context: Path, tag: str, *options: str, **arguments: str) -> str:
    """Builds the context's Dockerfile; gives the image's name. `arguments`: its ARGs."""
    if BASE not in buildah("images", "--format={{.Name}}").split():
        _make_base()
    given = {"BASE_IMAGE": BASE} | arguments
    buildah(
        "bud",
        "--format=docker",
        "--isolation=chroot",
        "--layers",
        f"--tag={tag}",
        *_pip_as_here(),
        *(f"--build-arg={name}={value}" for name, value in given.items()),
        *options,
        str(context),
    )
    return tag


def inspect(image: str) -> dict[str, Any]:
    """What docker calls the image's configuration: Cmd, Env, Labels, User, WorkingDir."""
    config: dict[str, Any] = json.loads(buildah("inspect", "--type=image", image))["Docker"]["config"]
    return config


@contextmanager
def mounted(image: str) -> Iterator[Path]:
    """The image's files, as long as the block lasts."""
    container = buildah("from", "--pull-never", image)
    try:
        yield Path(buildah("mount", container))
    finally:
        buildah("rm", container)


def _clear() -> None:
    """Ends containers, and removes their files and those of images, buildah's mounts first."""
    if (STORE / "containers").exists():
        for container in command("runc", f"--root={STORE}/containers", "list", "--quiet").split():
            command("runc", f"--root={STORE}/containers", "delete", "--force", container)
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for folder in reversed([folder for folder in mounts if Path(folder).is_relative_to(STORE)]):
        command("umount", folder)
    command("rm", "-rf", str(STORE))


def _make_base() -> None:
    left_out = [f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "locale", "man")]
    container = buildah("from", "scratch")
    root = buildah("mount", container)
    command("mmdebstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", *left_out, "bookworm", root)
    buildah("config", f"--env=PATH={BASE_PATH}", container)
    buildah("commit", "--quiet", "--rm", container, BASE)


def _pip_as_here() -> list[str]:
    """Options by which pip in the build's RUN steps uses the indexes, certificates and cache of this machine's. They
    are mounts: what they name is not in the image."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    values = dict[str, str]()
    for line in sorted(listed.splitlines(), reverse=True):  # the environment's, `:env:`, come last and win
        name, _, value = line.partition("=")
        if name.startswith(("global.", ":env:.")):
            values[name.rpartition(".")[2]] = ast.literal_eval(value)
    words = {word for value in values.values() for word in value.split()}
    indexes = {os.path.dirname(word.removeprefix("file://").rstrip("/")) for word in words if "file://" in word}
    paths = indexes | {word for word in words if os.path.isabs(word) and os.path.exists(word)}

    cache = subprocess.run(
        [sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True
    ).stdout.strip()
    Path(cache).mkdir(parents=True, exist_ok=True)
    config = configparser.RawConfigParser()
    config["global"] = values | {"cache-dir": PIP_CACHE}
    file = STORE / "pip.conf"
    with file.open("w") as opened:
        config.write(opened)
    return [f"--volume={file}:/etc/pip.conf:ro", f"--volume={cache}:{PIP_CACHE}"] + [
        f"--volume={path}:{path}:ro" for path in sorted(paths)
    ]
