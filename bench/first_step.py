"""Runs a program to its first denoising step, and prints what that took: `python bench/first_step.py PROGRAM`.

It stops when a denoiser is first called. Before, every page of the denoiser's weights is touched, because they may be
mapped and not yet read. So the step's arithmetic, which is the same for all, is left out, and its weights are not.

It is run as a file, so that PYTHONPATH may name the sources of another checkout. STARTED is when the process was
started, by the clock `time.monotonic`.
"""

import json
import os
import resource
import runpy
import sys
import time
from pathlib import Path
from typing import Any

_PAGE = 4096


def main(program: str) -> None:
    """Runs a worker's entry point."""
    from videoworker.watch import Watch

    stage = Watch.stage

    def watched(self: Watch, name: Any) -> Any:
        Watch.stage = stage  # type: ignore[method-assign]
        # With the first stage the worker has imported torch, as early or as late as it wanted to.
        engine = sys.modules["videoworker.engine.engine"]
        engine._LARGEST_ON_CPU = sys.maxsize  # type: ignore[attr-defined]  # no clip is made
        watch_denoiser()
        return stage(self, name)

    Watch.stage = watched  # type: ignore[method-assign]
    sys.argv = [program]
    sys.path[0] = str(Path(program).parent)
    runpy.run_path(program, run_name="__main__")


def watch_denoiser() -> None:
    """From now on the first call of a denoiser ends the process."""
    import torch

    def stop(module: torch.nn.Module, _: Any) -> None:
        if type(module).__name__.endswith(("Transformer3DModel", "_Transformer")):
            for parameter in module.parameters():
                parameter.data.reshape(-1)[:: _PAGE // parameter.element_size()].sum()
            _end()

    torch.nn.modules.module.register_module_forward_pre_hook(stop)


def _end() -> None:
    """Prints seconds since the start, those of processors, and bytes of the peak."""
    seconds = time.monotonic() - float(os.environ["STARTED"])
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {"seconds": seconds, "cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss * 1024}
    os.write(1, f"\n{json.dumps(told)}\n".encode())
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
