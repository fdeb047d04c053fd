"""Draws pipeline.png: `python docs/pictures/draw_pipeline.py`."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

INK, THREAD = "#1b2733", "#e8f1fa"
STAGES = [
    ("capture", "file, camera,\nstream, pipe", "1 thread"),
    ("prepare", "letterbox\n", "1 thread"),
    ("infer", "the runtime\n", "its own threads"),
    ("finish", "decode, NMS,\ntrack", "the caller"),
    ("sinks", "JSON lines, COCO,\nvideo, live page,\nMAVLink", "1 thread each"),
]
QUEUES = [
    ("file: 2, waits\nlive: 1, latest\nfirst, counted", 0),
    ("file: 1 ahead\nlive: if free", 1),
    ("in order", 2),
    ("4 each\nfile: waits\nlive: drops", 3),
]


def main() -> None:
    """Five boxes, four arrows, and what each arrow does when it is full."""
    figure, axes = plt.subplots(figsize=(13, 3.1), dpi=110)
    axes.set_xlim(-0.1, 13.1)
    axes.set_ylim(0.4, 3)
    axes.axis("off")
    for index, (name, what, thread) in enumerate(STAGES):
        left = index * 2.8
        axes.add_patch(plt.Rectangle((left, 0.9), 1.75, 1.45, facecolor=THREAD, edgecolor=INK, linewidth=1.4))
        axes.text(left + 0.875, 2.05, name, ha="center", va="center", fontsize=13, fontweight="bold", color=INK)
        axes.text(left + 0.875, 1.45, what, ha="center", va="center", fontsize=9, color=INK)
        axes.text(left + 0.875, 0.65, thread, ha="center", va="center", fontsize=9, style="italic", color=INK)
    for text, index in QUEUES:
        left = index * 2.8 + 1.75
        axes.annotate(
            "", (left + 1.05, 1.62), (left, 1.62), arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 1.4}
        )
        axes.text(left + 0.52, 1.08, text, ha="center", va="center", fontsize=7.5, color=INK)
    axes.text(0, 2.75, "bounded everywhere: a file loses nothing, a live source is never late", fontsize=11, color=INK)
    figure.savefig(Path(__file__).parent / "pipeline.png", bbox_inches="tight", facecolor="white")


if __name__ == "__main__":
    main()
