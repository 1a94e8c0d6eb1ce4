"""What a training stage says of itself while it runs."""

import csv
import time
from collections.abc import Iterator
from pathlib import Path


def log_losses(stage: str, folder: Path, losses: Iterator[tuple[int, dict[str, float]]], every: int = 25) -> None:
    """Runs a stage, and prints the mean of its losses over each `every` steps. They also go to `losses.csv`."""
    seen: list[dict[str, float]] = []
    started = time.monotonic()
    with (folder / "losses.csv").open("a", newline="") as file:
        for step, values in losses:
            seen.append(values)
            if (step + 1) % every == 0:
                means = {name: sum(row[name] for row in seen) / len(seen) for name in values}
                csv.writer(file).writerow([stage, step + 1, *(f"{name}={value:.5f}" for name, value in means.items())])
                file.flush()
                shown = " ".join(f"{name} {value:.4f}" for name, value in means.items())
                print(
                    f"{stage} {step + 1}: {shown} ({(time.monotonic() - started) / len(seen):.2f} s/step)", flush=True
                )
                seen, started = [], time.monotonic()
