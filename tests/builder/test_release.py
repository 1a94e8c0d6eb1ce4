"""What a release stands on: one version, the licence, the workflow that tests a change and makes a tag an image."""

import hashlib
import os
import re
import subprocess
import sys
import sysconfig
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.handler_process import ROOT
from videoworker import __version__

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
JOBS: dict[str, dict[str, Any]] = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]
# https://www.apache.org/licenses/LICENSE-2.0.txt
APACHE_2_0 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"


def tool(name: str, *arguments: str | Path) -> None:
    """Runs an installed command, which fails if it finds fault."""
    command = [Path(sys.executable).parent / name, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr


def step(job: str, name: str) -> str:
    """The script of a step of the workflow."""
    (script,) = [str(step["run"]) for step in JOBS[job]["steps"] if step.get("name") == name]
    return script


def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a step's script as GitHub does, with nothing of this process's environment but its programs."""
    environment = {"PATH": os.environ["PATH"]} | variables
    command = ["bash", "-e", "-c", script]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_the_changelog_has_the_version() -> None:
    sections = re.findall(r"^## (.*)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert sections[0] == "[Unreleased]"
    assert re.fullmatch(rf"\[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d", sections[1])


def test_the_installed_package_has_the_version_and_the_licence() -> None:
    (installed,) = distributions(name="videoworker", path=[sysconfig.get_path("purelib")])
    said = installed.metadata
    assert (said["Version"], said["License-Expression"]) == (__version__, "Apache-2.0")
    assert said.get_all("License-File") == ["LICENSE", "NOTICE"]
    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == APACHE_2_0


def test_the_workflow_is_valid_and_needs_few_rights() -> None:
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", WORKFLOW)
    tool("zizmor", "--offline", "--pedantic", "--strict-collection", ROOT / ".github")


def test_the_forms_for_issues_are_valid() -> None:
    assert [form.stem for form in FORMS] == ["bug", "feature"]
    tool("check-jsonschema", "--builtin-schema", "vendor.github-issue-forms", *FORMS)


def test_hooks_run_what_lint_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    entries = [hook["entry"].removeprefix(".venv/bin/") for hook in hooks if hook["language"] == "system"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    (lint,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    commands = [line.removeprefix("\t$(BIN)/").removesuffix(" .") for line in lint.splitlines()]
    assert entries == [command for command in commands if command != "deptry"]


def test_a_long_subject_is_found() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    (pattern,) = [hook["entry"] for hook in hooks if hook["id"] == "subject"]
    assert re.search(pattern, 73 * "a") and not re.search(pattern, 72 * "a" + "\n\n" + 100 * "b")


def test_an_image_follows_the_gate() -> None:
    assert step("test", "Run all tests") == ".ci/run"
    assert JOBS["image"]["needs"] == "test"
    names = [step.get("name") for step in JOBS["image"]["steps"]]
    assert names.index("Check that the tag is the version") < names.index("Build and push")


@pytest.mark.parametrize("tag", [f"v{__version__}", __version__, f"v{__version__}.1", "v0.0.0"])
def test_only_a_tag_that_is_the_version_becomes_an_image(tag: str) -> None:
    done = run(step("image", "Check that the tag is the version"), GITHUB_REF_NAME=tag)
    assert done.returncode == (0 if tag == f"v{__version__}" else 1), done.stderr
    assert done.stdout == ("" if tag == f"v{__version__}" else f"The tag is {tag}, the version {__version__}.\n")


def test_a_tags_images_are_pushed_with_name_and_version(tmp_path: Path) -> None:
    docker = tmp_path / "docker"  # there is no registry here: says what it is asked for
    docker.write_text('#!/bin/sh\necho "$IMAGE $VERSION $*"\n[ "$1" != login ] || cat\n')
    docker.chmod(0o755)
    variables = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "TOKEN": "a-token",
        "GITHUB_ACTOR": "somebody",
        "GITHUB_REPOSITORY": "Somebody/Worker-Video",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_REF_NAME": f"v{__version__}",
        "GITHUB_SHA": "abc",
    }
    done = run(step("image", "Build and push"), **variables)
    assert done.returncode == 0, done.stderr
    login, token, bake = done.stdout.splitlines()
    assert (login.split(), token) == (["login", "ghcr.io", "--username", "somebody", "--password-stdin"], "a-token")
    assert bake.startswith(f"ghcr.io/somebody/worker-video {__version__} buildx bake --push ")
    assert "*.labels.org.opencontainers.image.source=https://github.com/Somebody/Worker-Video " in bake
    assert bake.split()[-1] in re.findall(
        r'^group "(.*?)"', (ROOT / "docker-bake.hcl").read_text("utf-8"), re.MULTILINE
    )
