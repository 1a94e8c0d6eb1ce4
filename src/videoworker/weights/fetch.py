"""Weights from the hub to a folder: exactly the files that the worker loads, in the dtype that it loads them in.

huggingface_hub downloads, retries, continues and shows the progress. If the repository is in the hub's Xet storage, it
does so through hf_xet. If a connection breaks, the file is continued from there. If the process ends, the file begins
anew, and files that are whole stay. The checkpoint's folder appears when all of it is there and checked.
"""

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx2
import structlog
from filelock import FileLock
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import GatedRepoError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoSibling
from safetensors import safe_open

from videoworker.errors import Code, JobError
from videoworker.models.checkpoint import Checkpoint, Component, Origin
from videoworker.weights import manifest
from videoworker.weights.files import MARKS
from videoworker.weights.published import convert_published
from videoworker.weights.verify import UNSAFE_SUFFIXES, components_of, verify

_PLAIN = re.compile(r"(model|diffusion_pytorch_model)(?P<part>-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?")

_log = structlog.get_logger()


def fetch(checkpoint: Checkpoint, to: Path, is_accepted: bool = False) -> Path:
    """Brings the checkpoint to its folder in `to`, and returns that.

    It continues what an earlier call has begun, and mends a folder that is not whole. If several processes do so at
    once, one downloads and the others wait. `is_accepted` says whether the operator accepts the licence, if that is
    needed. Raises `JobError` MODEL_NOT_LOADED.
    """
    if not checkpoint.repository:
        raise JobError(Code.MODEL_NOT_LOADED, f"The hub has no weights of {checkpoint.title}.")
    folder = to / checkpoint.folder
    try:
        to.mkdir(parents=True, exist_ok=True)
        with FileLock(to / f".{checkpoint.folder}.lock"):
            if not is_whole(checkpoint, folder):
                check_accepted(checkpoint, is_accepted)
                (_fetch_published if checkpoint.layout else _fetch)(checkpoint, folder)
    except (OSError, httpx2.HTTPError) as error:
        _log.warning("weights not fetched", repository=checkpoint.repository, error=str(error))
        raise JobError(Code.MODEL_NOT_LOADED, _reason(checkpoint, error)) from error
    return folder


def check_accepted(checkpoint: Checkpoint, is_accepted: bool) -> None:
    """Raises `JobError` MODEL_NOT_LOADED if the operator must accept the licence and has not."""
    if checkpoint.needs_acceptance and not is_accepted:
        raise JobError(Code.MODEL_NOT_LOADED, checkpoint.refusal)


def is_whole(checkpoint: Checkpoint, folder: Path) -> bool:
    """Whether the folder has all of the checkpoint's files, by their headers."""
    try:
        verify(checkpoint, folder)
    except JobError:
        return False
    return True


def _fetch(checkpoint: Checkpoint, folder: Path) -> None:
    partial = folder.with_name(f".{folder.name}.partial")
    if folder.exists():
        shutil.rmtree(partial, ignore_errors=True)
        folder.rename(partial)
    hashes = _download(checkpoint, partial)
    for file in _narrow(checkpoint, partial):
        del hashes[file.relative_to(partial).as_posix()]
    for component in checkpoint.components:
        for old, new in _unmark(partial / component.place, component):
            digest = hashes.pop(old.relative_to(partial).as_posix(), None)
            if digest and new.suffix != ".json":
                hashes[new.relative_to(partial).as_posix()] = digest
    verify(checkpoint, partial)
    shutil.rmtree(partial / ".cache")
    written = [file for file in manifest.files_in(partial) if file.relative_to(partial).as_posix() not in hashes]
    manifest.write(partial, hashes | {file.relative_to(partial).as_posix(): manifest.sha256(file) for file in written})
    partial.rename(folder)


def _fetch_published(checkpoint: Checkpoint, folder: Path) -> None:
    """Brings the files of the checkpoint's origins, and makes the folder of them. What has come stays if this is
    interrupted, and goes when it is done."""
    published = folder.with_name(f".{folder.name}.published")
    for origin in checkpoint.origins:
        commit = HfApi().model_info(origin.repository, revision=origin.revision, files_metadata=True)
        to = published / origin.folder
        snapshot_download(origin.repository, revision=commit.sha, local_dir=to, allow_patterns=list(origin.files))
        for file in commit.siblings or []:
            if file.rfilename in origin.files:
                _checked(checkpoint, to / file.rfilename, file)
    shutil.rmtree(folder, ignore_errors=True)  # if it is there, it is not whole
    _, unexpected = convert_published(checkpoint, published, folder.parent)
    for name, tensors in unexpected.items():
        _log.warning("unknown tensors left out", file=name, tensors=tensors)
    shutil.rmtree(published)


def needed(checkpoint: Checkpoint, index: dict[str, object] | None, names: list[str]) -> list[str]:
    """Those of a repository's files that the worker loads. `index` is its `model_index.json`; None if it has none.
    Raises `JobError` if a network's weights are not among them as safetensors."""
    by_folder = dict[str, list[str]]()
    for name in names:
        folder, _, file = name.rpartition("/")
        by_folder.setdefault(folder, []).append(file)
    networks = {component.place: component for component in checkpoint.components if not component.is_file}
    chosen = [component.place for component in checkpoint.components if component.is_file]
    if absent := [file for file in chosen if file not in names]:
        raise JobError(Code.MODEL_NOT_LOADED, f"{checkpoint.repository} has no {absent[0]}.")
    if index is not None:
        chosen.append("model_index.json")
    for folder in networks if index is None else components_of(index):
        files = [file for file in by_folder.get(folder, []) if not file.endswith(UNSAFE_SUFFIXES)]
        if folder in networks:
            files = _of_network(networks[folder], files)
            if not any(file.endswith(".safetensors") for file in files):
                message = f"{checkpoint.repository} has no safetensors file in {folder}."
                raise JobError(Code.MODEL_NOT_LOADED, message)
        chosen += [f"{folder}/{file}" for file in files]
    return chosen


def _download(checkpoint: Checkpoint, to: Path) -> dict[str, str]:
    """Brings the published files, and returns the SHA-256 of each by its path. Raises `JobError` if one is not what the
    hub says."""
    commit = HfApi().model_info(checkpoint.repository, revision=checkpoint.revision, files_metadata=True)
    index = None
    if checkpoint.pipeline:
        downloaded = hf_hub_download(checkpoint.repository, "model_index.json", revision=commit.sha, local_dir=to)
        index = json.loads(Path(downloaded).read_text())
    chosen = needed(checkpoint, index, [file.rfilename for file in commit.siblings or []])
    for file in to.rglob("*"):  # what an interrupted cast or another checkpoint left
        path = file.relative_to(to)
        if file.is_file() and path.parts[0] != ".cache" and path.as_posix() not in chosen:
            file.unlink()
    snapshot_download(checkpoint.repository, revision=commit.sha, local_dir=to, allow_patterns=chosen)
    published = {file.rfilename: file for file in commit.siblings or []}
    return {path: _checked(checkpoint, to / path, published[path]) for path in chosen}


def _checked(checkpoint: Checkpoint, file: Path, published: RepoSibling) -> str:
    """The file's SHA-256. The hub says that of large files, and git's name of others. A file that is not so is removed,
    so that it comes anew."""
    digest = manifest.sha256(file)
    if published.lfs:
        is_so = digest == published.lfs.sha256
    else:
        is_so = published.blob_id is None or manifest.git_blob(file) == published.blob_id
    if not is_so:
        file.unlink()
        message = f"{published.rfilename} of {checkpoint.title} did not come as the hub has it."
        raise JobError(Code.MODEL_NOT_LOADED, f"{message} To fetch it again: {checkpoint.how_to_fetch}")
    return digest


def _of_network(component: Component, files: list[str]) -> list[str]:
    """Its configuration, and its weights in the wanted dtype if the repository has them so, else the plain ones.

    Marked files have rounded the tensors that are to stay in float32. So the plain ones are taken if there are any, and
    if all of their parts are there.
    """
    weights = [file for file in files if ".safetensors" in file]
    marked = [file for file in weights if _is_marked(component, file)]
    plain = [file for file in weights if _PLAIN.fullmatch(file)]
    others = [file for file in files if ".safetensors" not in file and not file.endswith(".index.json")]
    is_plain_better = bool(component.float32_parts) and _has_all_parts(plain)
    return others + (plain if is_plain_better else marked or plain)


def _has_all_parts(files: list[str]) -> bool:
    """Whether files that are called `-00001-of-00003` and the like lack none."""
    parts = [match for file in files if (match := _PLAIN.fullmatch(file)) and file.endswith(".safetensors")]
    numbered = [match["part"] for match in parts if match["part"]]
    return bool(parts) and all(len(numbered) == int(part.rpartition("-")[2]) for part in numbered)


def _is_marked(component: Component, file: str) -> bool:
    mark = MARKS.get(component.stored)
    return mark is not None and re.search(rf"\.{mark}[.-]", file) is not None


def _unmark(folder: Path, component: Component) -> Iterator[tuple[Path, Path]]:
    """Gives files of another dtype the plain names, under which they are loaded without naming a dtype. Yields both
    names of each."""
    mark = f".{MARKS.get(component.stored)}"
    for file in sorted(folder.glob(f"*{mark}[.-]*")):
        if file.name.endswith(".json"):
            index = json.loads(file.read_text())
            index["weight_map"] = {name: at.replace(mark, "", 1) for name, at in index["weight_map"].items()}
            file.write_text(json.dumps(index))
        yield file, file.rename(folder / file.name.replace(mark, "", 1))


def _narrow(checkpoint: Checkpoint, folder: Path) -> list[Path]:
    """Casts float32 weights on disk to the wanted dtypes. Returns the files that are others now.

    The cast files are put in place together at the end. Until then the download is whole. If this is interrupted, they
    are made again.
    """
    casts = dict[Path, Path]()
    for component in checkpoint.components:
        if component.stored not in MARKS:
            continue
        place = folder / component.place
        files = [place] if component.is_file else sorted(place.glob("*.safetensors"))
        wide = {file: file.with_suffix(".cast") for file in files if _holds_float32(file)}
        for file, cast in wide.items():
            from videoworker.weights.convert import narrow  # torch takes a second to import, and most files do without

            narrow(file, cast, component.stored, component.float32_parts)
            _log.info("weights cast", file=file.relative_to(folder).as_posix(), dtype=component.stored)
        casts |= wide
    for file, cast in casts.items():
        cast.replace(file)
    return list(casts)


def _holds_float32(file: Path) -> bool:
    with safe_open(file, "numpy") as opened:
        return any(opened.get_slice(name).get_dtype() == "F32" for name in opened.keys())  # noqa: SIM118 (not a dict)


def _reason(checkpoint: Checkpoint, error: Exception) -> str:
    asked, title = _asked(checkpoint, error), checkpoint.title
    at = f"huggingface.co/{asked.repository}"
    if isinstance(error, GatedRepoError):
        return f"Accept the terms of {title} at {at}, and set HF_TOKEN."
    if isinstance(error, RevisionNotFoundError):
        return f"{at} has no commit {asked.revision}, to which {title} is pinned."
    if isinstance(error, PermissionError):
        user = os.geteuid()
        return f"User {user} may not write into the folder for weights. For its owner: chown --recursive {user} FOLDER"
    response = getattr(error, "response", None)
    status = f" {response.status_code}" if response is not None else ""
    return (
        f"The weights of {title} could not be fetched ({type(error).__name__}{status}). What came is kept; "
        f"to go on: {checkpoint.how_to_fetch}"
    )


def _asked(checkpoint: Checkpoint, error: Exception) -> Origin:
    """The repository that the hub's answer is about."""
    url = str(getattr(getattr(error, "response", None), "url", ""))
    own = Origin(checkpoint.repository, (), 0, checkpoint.revision)
    return next((origin for origin in checkpoint.origins if origin.repository in url), own)
