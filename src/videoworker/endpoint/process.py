"""A worker's process, which ends when this process ends and leaves no child behind.

The SDK's worker starts a process for its heartbeat. That process survives the worker and goes on to claim its job. So
each worker runs in a process group of its own. The group also holds a shell that reads a pipe, and only this process
holds the pipe's other end. When this process ends, for whatever reason, the pipe ends and the shell kills the group.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

GUARD = ("sh", "-c", "cat >/dev/null; kill -KILL 0")  # the shell; the pipe is its standard input


@asynccontextmanager
async def guarded(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Starts `command` in a group of its own. The group is killed at the end of the block.

    Only for the event loop of the main thread. Raises `OSError` if the command cannot be started.
    """
    pipe = asyncio.subprocess.PIPE
    guard = await asyncio.create_subprocess_exec(*GUARD, stdin=pipe, process_group=0)
    try:
        yield await asyncio.create_subprocess_exec(
            *command, env=environment, stdin=asyncio.subprocess.DEVNULL, process_group=guard.pid
        )
    finally:
        with suppress(ProcessLookupError):
            os.killpg(guard.pid, signal.SIGKILL)
        await guard.wait()
