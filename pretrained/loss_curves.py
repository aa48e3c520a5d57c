"""The training curves of the shipped weights, from their logs to a picture.

    python pretrained/loss_curves.py -o docs/images/loss_curves.png

Reads `pretrained/logs/NAME.jsonl`, as `synbt train` writes them; runs that went on from one
another are numbered. Needs `pip install synbt-aug[eval]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path

LOGS = Path(__file__).parent / "logs"

#: What is drawn of each training: file name's start -> (value, title).
DRAWN = {
    "autoencoder": ("l1", "autoencoder: L1 of the mapped signal"),
    "denoiser": ("loss", "denoiser: squared error of v, hole weighted"),
}

#: Lines of the log averaged for the bold curve.
SMOOTHED = 9


def read(name: str, value: str) -> tuple[list[float], list[float]]:
    """Minutes and values of all runs of a training, one after the other."""
    minutes, values, before = [], [], 0.0
    for path in sorted(LOGS.glob(f"{name}*.jsonl")):
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        minutes += [before + line["elapsed_s"] / 60 for line in lines]
        values += [line[value] for line in lines]
        before = minutes[-1]
    return minutes, values


def smooth(values: list[float]) -> list[float]:
    """Running medians."""
    half = SMOOTHED // 2
    return [statistics.median(values[max(k - half, 0) : k + half + 1]) for k in range(len(values))]


def main() -> None:
    """Draw them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(DRAWN), figsize=(10, 3.2), layout="constrained")
    for axis, (name, (value, title)) in zip(axes, DRAWN.items(), strict=True):
        minutes, values = read(name, value)
        axis.plot(minutes, values, color="#9db8d2", linewidth=0.7)
        axis.plot(minutes, smooth(values), color="#1f4e79", linewidth=1.6)
        axis.set(title=title, xlabel="minutes of training")
        axis.grid(alpha=0.3)
    figure.savefig(given.output, dpi=110)
    print(f"Written to {given.output}")


if __name__ == "__main__":
    main()
