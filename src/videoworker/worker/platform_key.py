"""The key with which the SDK calls the platform: the one that the platform gave to this worker.

The SDK prefers other keys of the machine's user. Its own file, `~/.runpod/config.toml`, has one for calling RunPod. The
heartbeat sends what `~/.netrc` has for the platform's host, and goes through the proxy that the environment names. Any
of these would give a foreign secret away, and the platform would refuse the worker.
"""

import runpod.http_client
from runpod.serverless.modules import rp_ping


class _Session(runpod.http_client.SyncClientSession):  # type: ignore[misc]
    """As the SDK's sessions for jobs and results, it has nothing of the environment."""

    def __init__(self) -> None:
        super().__init__()
        self.trust_env = False


def install() -> None:
    """Makes the SDK send `RUNPOD_AI_API_KEY`. To be called before `runpod.serverless.start`."""
    runpod.http_client.get_credentials = lambda: None
    rp_ping.SyncClientSession = _Session
