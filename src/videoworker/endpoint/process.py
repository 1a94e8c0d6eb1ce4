"""A process that never outlives us, nor leaves children behind.

The SDK's worker has a heartbeat process that survives it, and would go on to claim its job. So each worker runs in a
process group of its own, together with a shell that waits for the end of a pipe which only we hold: when we end,
however that happens, the shell kills the group.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

# Its input is the pipe.
GUARD = ("sh", "-c", "cat >/dev/null; kill -KILL 0")


@asynccontextmanager
async def guarded(command: Sequence[str], environment: Mapping[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Starts `command`. Its whole group is killed at the end of the block, and when this process ends. To be used on
    the main thread's loop. Raises `OSError` where it cannot be started."""
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
