"""The image's own command in a container of runc's: as its user, on a root that is read-only, in namespaces of its own.

Only /tmp (in memory) and the image's folder for outputs (a folder of the test's) can be written to.
"""

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.image.buildah import AS_ROOT, STORE, command

PATIENCE = 300.0  # seconds after which something that should happen is said not to have happened
_RUNC = ("runc", f"--root={STORE}/containers")


class Container:
    """`process` is runc's, which ends with the exit code of the container's first process. `outputs` is what it
    writes to."""

    def __init__(self, name: str, process: subprocess.Popen[str], outputs: Path) -> None:
        self.process, self.outputs, self._name = process, outputs, name

    def ended(self) -> tuple[int, str, str]:
        """Exit code, standard output and standard error, once it has ended."""
        printed, errors = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, printed, errors

    def signal(self, name: str) -> None:
        """To the container's first process, as `docker stop` does it."""
        command(*_RUNC, "kill", self._name, name)

    @property
    def status(self) -> dict[str, str]:
        """What /proc tells of its first process."""
        pid = json.loads(command(*_RUNC, "state", self._name))["pid"]
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)} | {
            "command": Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").replace("\0", " ")
        }


@dataclass(frozen=True)
class Image:
    """`config` is what docker calls its configuration, `root` are its files, not to be written to."""

    config: Mapping[str, Any]
    root: Path

    @property
    def outputs(self) -> str:
        """The folder that its containers write to: its volume, or else the worker's."""
        return str(next(iter(self.config["Volumes"] or ["/outputs"])))

    def command(self, *words: str) -> list[str]:
        """What a container runs. With an entrypoint, `words` take the place of the command; else they follow it."""
        entrypoint, command = self.config["Entrypoint"] or [], self.config["Cmd"]
        return [*entrypoint, *(words or command)] if entrypoint else [*command, *words]


@dataclass(frozen=True)
class Setup:
    """How a container is run. `words`: see `Image.command`. It has this machine's network, or none at all; its
    own weights, or those of a folder."""

    words: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    network: bool = False
    weights: Path | None = None


@contextmanager
def running(image: Image, folder: Path, setup: Setup) -> Iterator[Container]:
    """A container that is killed with the block. `folder` is empty, and its own."""
    name = f"worker-{uuid.uuid4().hex[:12]}"
    outputs = folder / "outputs"
    outputs.mkdir()
    outputs.chmod(0o777)
    command(*_RUNC, "spec", f"--bundle={folder}")
    file = folder / "config.json"
    spec = json.loads(file.read_text())
    user, _, group = image.config["User"].partition(":")
    spec["process"] |= {
        "terminal": False,
        "args": image.command(*setup.words),
        "env": [*image.config["Env"], *(f"{variable}={value}" for variable, value in setup.environment.items())],
        "cwd": image.config["WorkingDir"],
        "user": {"uid": int(user), "gid": int(group)},
        "capabilities": {},
    }
    spec["root"] = {"path": str(image.root), "readonly": True}
    memory = ["nosuid", "nodev", "noexec", "mode=1777"]
    spec["mounts"] += [
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": memory},
        {
            "destination": image.outputs,
            "type": "bind",
            "source": str(outputs),
            "options": ["bind", "nosuid", "nodev"],
        },
    ]
    if setup.weights is not None:
        read_only = ["bind", "ro", "nosuid", "nodev"]
        spec["mounts"].append(
            {"destination": "/app/weights", "type": "bind", "source": str(setup.weights), "options": read_only}
        )
    del spec["linux"]["resources"]  # no limits: not every machine lets them be set
    if setup.network:
        spec["linux"]["namespaces"] = [one for one in spec["linux"]["namespaces"] if one["type"] != "network"]
    file.unlink()  # root's, if this process is not
    file.write_text(json.dumps(spec))
    with subprocess.Popen(
        [*AS_ROOT, *_RUNC, "run", f"--bundle={folder}", name],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Container(name, process, outputs)
        finally:
            if process.poll() is None:
                command(*_RUNC, "delete", "--force", name)
