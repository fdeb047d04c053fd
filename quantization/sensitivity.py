"""Sensitivity of blocks to INT8: each block alone is put on the INT8 grid, the rest of the network stays float."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from tinydet.edge.detection.letterbox import letterbox
from tinydet.edge.files.images import read_image
from tinydet.edge.files.writing import atomic_path
from tinydet.quantization.calibration_methods import OutputFidelity, Score
from tinydet.quantization.ptq import Calibration, QuantizedNetwork
from tinydet.training.model import TinyDetector

Progress = Callable[[Sequence[str]], Iterable[str]]
"""Wraps the blocks' names to show progress."""

SENSITIVITY_IMAGES = 4
TITLES = {"cem": "cem (context enhancement)", "fbsm": "fbsm (foreground gate)", "merge": "merge (top-down sums)"}


@dataclass(frozen=True, kw_only=True)
class BlockSensitivity:
    """Effect of rounding one block. sqnr_db: of the raw outputs. drop: loss of AP, 0 to 1; None where not measured."""

    block: str
    sqnr_db: float
    drop: float | None


def measure_sensitivity(
    calibration: Calibration,
    fidelity: OutputFidelity,
    network: QuantizedNetwork,
    *,
    fp32_ap: float = 0.0,
    score: Score | None = None,
    progress: Progress | None = None,
) -> list[BlockSensitivity]:
    """Measure every block; returns the most sensitive first: by drop of AP in tenths of a point, then by SQNR.

    Ranges are by the calibration method of `network`. Without `score` only SQNR is measured, in a fraction of the time.
    """
    found = []
    for block in calibration.blocks if progress is None else progress(calibration.blocks):
        others = [name for name in calibration.blocks if name != block]
        alone = calibration.with_float(others)
        graph = alone.quantized_graph(network.calibration["ranges"])
        drop = None
        if score is not None:
            part = QuantizedNetwork(
                graph=graph,
                input_hw=network.input_hw,
                method="ptq",
                calibration=network.calibration,
                float_blocks=alone.float_blocks,
            )
            drop = fp32_ap - score(part)
        found.append(BlockSensitivity(block=block, sqnr_db=fidelity.sqnr_db(graph), drop=drop))
    return sorted(found, key=lambda entry: (-round(entry.drop or 0.0, 3), entry.sqnr_db))


def most_sensitive(entries: Sequence[BlockSensitivity], count: int = 3) -> str:
    """The first `count` blocks by name, with their SQNR."""
    return ", ".join(f"{entry.block} ({entry.sqnr_db:.1f} dB)" for entry in entries[:count])


def sensitivity_as_dict(entries: Sequence[BlockSensitivity]) -> list[dict[str, Any]]:
    """Convert to plain JSON values."""
    return [asdict(entry) for entry in entries]


def block_title(block: str) -> str:
    """The block's name, with its meaning where the name is an abbreviation."""
    name, _, level = block.partition(".")
    title = TITLES.get(name, name)
    return f"{name}.{level}{title.removeprefix(name)}" if level else title


def write_figure(path: Path, entries: Sequence[BlockSensitivity]) -> None:
    """Draw a bar for each block, most sensitive on top: drop of AP in points (where measured) and SQNR in dB."""
    with_drop = any(entry.drop is not None for entry in entries)
    figure = Figure(figsize=(11 if with_drop else 7, 1.2 + 0.28 * len(entries)), layout="constrained")
    axes = figure.subplots(1, 2 if with_drop else 1, sharey=True, squeeze=False)[0]
    names = [block_title(entry.block) for entry in entries][::-1]
    colours = ["#c1440e" if entry.block.startswith(("cem", "fbsm")) else "#35608d" for entry in entries][::-1]
    if with_drop:
        axes[0].barh(names, [100 * (entry.drop or 0.0) for entry in entries][::-1], color=colours)
        axes[0].axvline(0, color="black", linewidth=0.8)
        axes[0].set(xlabel="AP lost when only this block is INT8, points")
    axes[-1].barh(names, [entry.sqnr_db for entry in entries][::-1], color=colours)
    axes[-1].set(xlabel="SQNR of the raw outputs, dB (lower is worse)")
    for axis in axes:
        axis.grid(axis="x", alpha=0.3)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110)


def find_most_sensitive(
    model: TinyDetector, network: QuantizedNetwork, paths: Sequence[Path], progress: Progress | None = None
) -> str:
    """Rank blocks on a few of the images `paths`, in about a minute, and return the names of the most sensitive."""
    chosen = paths[:: max(1, len(paths) // SENSITIVITY_IMAGES)][:SENSITIVITY_IMAGES]
    images = [letterbox(read_image(path), network.input_hw).image for path in chosen]
    calibration = Calibration(model, input_hw=network.input_hw)
    for image in images:
        calibration.observe(image)
    return most_sensitive(measure_sensitivity(calibration, OutputFidelity(model, images), network, progress=progress))
