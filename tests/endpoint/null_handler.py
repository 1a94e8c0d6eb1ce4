"""A worker's handler that makes nothing, as a RunPod user writes it: what it does is the job's input."""

import asyncio
from collections.abc import Mapping
from typing import Any

import runpod
from runpod.serverless.modules import rp_progress


async def handler(job: Mapping[str, Any]) -> dict[str, Any]:
    wanted = job["input"]
    if wanted.get("fail"):
        return {"error": wanted["fail"]}
    if wanted.get("for ever"):
        await asyncio.Event().wait()
    for step in range(wanted.get("steps", 0)):
        await asyncio.to_thread(rp_progress._thread_target, job, {"step": step})
    return {"echo": wanted, "job": {key: value for key, value in job.items() if key != "input"}}


async def chunks(job: Mapping[str, Any]) -> Any:
    for step in range(job["input"]["chunks"]):
        yield {"step": step}


if __name__ == "__main__":
    runpod.serverless.start({"handler": handler})
