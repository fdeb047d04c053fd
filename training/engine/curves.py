"""Metrics of a run as a CSV table and as curves."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tinydet.edge.files.writing import atomic_path, write_text


def write_metrics(path: Path, history: list[dict[str, Any]]) -> None:
    """Write one line per epoch; AP is from 0 to 1, empty for a band without objects."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(history[0]), lineterminator="\n")
    writer.writeheader()
    for row in history:
        writer.writerow({name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()})
    write_text(path, text.getvalue())


def write_curves(path: Path, history: list[dict[str, Any]]) -> None:
    """Plot over epochs: the loss terms on the left, AP overall and by size band on the right."""
    figure = Figure(figsize=(11, 4), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    epochs = [row["epoch"] for row in history]
    for name in ("loss_objects", "loss_background", "loss_boxes", "loss_mask"):
        losses.plot(epochs, [row[name] for row in history], marker=".", label=name.removeprefix("loss_"))
    losses.set(title="Training loss", xlabel="epoch", ylim=(0, None))
    for name in (name for name in history[0] if name.startswith("AP") and " " not in name):
        values = [100 * row[name] if row[name] is not None else float("nan") for row in history]
        if any(value == value for value in values):
            accuracy.plot(epochs, values, marker=".", linewidth=2.5 if name == "AP" else 1.2, label=name)
    best = max(history, key=lambda row: row["AP"])
    accuracy.set(title=f"Validation: best AP {100 * best['AP']:.1f} at epoch {best['epoch']}", xlabel="epoch")
    accuracy.set(ylabel="AP, points", ylim=(0, 100))
    for axes in (losses, accuracy):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)
