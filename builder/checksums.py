"""Writes the manifests of the weights that ship with the repository: `python -m builder.checksums`."""

from builder.declared import SHIPPED_CHECKPOINTS
from videoworker.settings import ROOT
from videoworker.weights import manifest


def main() -> None:
    """Brings them up to date. README files are not weights."""
    for checkpoint in SHIPPED_CHECKPOINTS:
        folder = ROOT / "weights" / checkpoint.folder
        files = [file for file in manifest.files_in(folder) if file.suffix != ".md"]
        manifest.write(folder, {file.relative_to(folder).as_posix(): manifest.sha256(file) for file in files})


if __name__ == "__main__":
    main()
