"""A worker that makes nothing, written as a user of RunPod writes one. The job's input says what it does."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator, Mapping
from typing import Any

import runpod
from runpod.serverless.modules import rp_progress

_failed: set[str] = set()


async def handle(job: Mapping[str, Any]) -> Any:
    wanted = job["input"]
    match wanted.get("do"):
        case "fail":
            return {"error": "asked to fail"}
        case "fail once" if job["id"] not in _failed:
            _failed.add(job["id"])
            return {"error": "asked to fail once"}
        case "run for ever":
            for step in itertools.count(1):
                await asyncio.to_thread(rp_progress._thread_target, job, {"step": step})
        case "run a while":
            for step in range(wanted.get("steps", 200)):
                await asyncio.to_thread(rp_progress._thread_target, job, {"step": step})
        case "give what JSON cannot hold":
            return {"bytes": b""}
        case "ask for a fresh worker":
            return {"refresh_worker": True, "echo": wanted}
    return {"echo": wanted, "pid": os.getpid()}


async def stream(job: Mapping[str, Any]) -> AsyncIterator[dict[str, int]]:
    for number in range(job["input"]["chunks"]):
        yield {"n": number}


if __name__ == "__main__":
    runpod.serverless.start({"handler": stream if os.environ.get("STREAM") else handle})
