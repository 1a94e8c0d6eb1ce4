"""Runs many jobs through the real start and the real SDK: loads once, then gives each job a process of its own.

`python -m tests.many_jobs INPUTS FOLDER`: INPUTS is a JSON list of job inputs; what the process of number n printed
comes to FOLDER/n.txt, its exit code to FOLDER/n.code. The processes are forks, which torch's threads do not survive: it
gets none.
"""

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from tests.engine.making import loaded
from videoworker.settings import settings
from videoworker.worker import serve, start


def run(job_input: Any, printed: Path) -> int:
    """What `handler.py --test_input` does, in this process; its exit code."""
    with printed.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["handler.py", "--test_input", json.dumps({"input": job_input})]
    try:
        start.main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        return 70
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def main() -> None:
    inputs, folder = json.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2])
    torch.set_num_threads(1)
    engine = loaded("sketch", settings())
    with patch.object(serve, "Engine", return_value=engine):
        for number, job_input in enumerate(inputs):
            child = os.fork()
            if child == 0:
                os._exit(run(job_input, folder / f"{number}.txt"))
            _, status = os.waitpid(child, 0)
            (folder / f"{number}.code").write_text(str(os.waitstatus_to_exitcode(status)))


if __name__ == "__main__":
    main()
