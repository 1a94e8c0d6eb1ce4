"""What can be said of the Dockerfile without building it."""

import json
import re
import subprocess
import sysconfig
from pathlib import Path

from tests.handler_process import ROOT
from videoworker import __version__

DOCKERFILE = (ROOT / "Dockerfile").read_text()


def test_the_linter_has_nothing_to_say() -> None:
    linter = Path(sysconfig.get_path("scripts")) / "hadolint"
    linted = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")


def test_the_version_is_the_packages() -> None:
    assert re.findall(r"^ARG VERSION=(.*)$", DOCKERFILE, re.MULTILINE) == [__version__] * 2


def test_the_sdk_wants_the_cuda_that_torch_is_built_for() -> None:
    """Hosts with an older one are not asked for either."""
    constraints = (ROOT / "builder" / "constraints-torch.txt").read_text()
    (built_for,) = re.findall(r"^cuda-toolkit==(\d+\.\d+)", constraints, re.MULTILINE)
    assert re.findall(r"RUNPOD_MIN_CUDA_VERSION=(\S+)", DOCKERFILE) == [built_for]
    assert min(json.loads((ROOT / ".runpod" / "hub.json").read_text())["config"]["allowedCudaVersions"]) == built_for


def test_the_licence_is_accepted_where_weights_are_fetched() -> None:
    """And nowhere else: the image's weights need no acceptance."""
    (stage,) = re.findall(r"^FROM \S+ AS weights$(.*?)^FROM", DOCKERFILE, re.DOTALL | re.MULTILINE)
    accepted = r"^ARG ACCEPT_TENCENT_LICENSE=(.*)$"
    assert re.findall(accepted, stage, re.MULTILINE) == re.findall(accepted, DOCKERFILE, re.MULTILINE) == ["false"]
