"""Measures how many calibration images are enough; its table is in docs/quantization.md. Not a test.

    python -m tests.accuracy.calibration_size datasets/aerial-vehicles/tiny

Calibrates on images of the split `train` one after another, in a random order, and measures INT8 on val in between: AP
of the ONNX artifact, and SQNR of the raw outputs on two images. Takes a quarter of an hour on one CPU core.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinydet.converters.network_accuracy import measure_ap
from tinydet.edge.commands import terminal
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.detection.letterbox import letterbox
from tinydet.edge.files.images import read_image
from tinydet.edge.runtimes.opening import model_path
from tinydet.quantization.calibration import find_calibration_images
from tinydet.quantization.calibration_methods import OutputFidelity
from tinydet.quantization.gate import Gate
from tinydet.quantization.ptq import Calibration, quantized_network
from tinydet.training.checkpoint import load_detector
from tinydet.training.engine.memory import keep_freed_memory

COUNTS = (1, 2, 4, 8, 16, 32)
DRAWS = 3


def main(folder: Path) -> None:
    """Print a row for each measurement, then mean, smallest and largest value for each number of images."""
    keep_freed_memory()
    loaded = load_detector(model_path("n"))
    input_hw = (loaded.input_px, loaded.input_px)
    images = find_calibration_images(folder, limit=sys.maxsize)
    counts = (*COUNTS, len(images.paths))
    val = read_dataset(folder)
    shown = [letterbox(read_image(record.path), input_hw).image for record in val.images[::12]]
    fidelity = OutputFidelity(loaded.model, shown)
    gate = Gate(val)
    terminal.say(f"FP32 AP {100 * measure_ap(loaded, None, gate, input_hw=input_hw):.2f}")
    found: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
    for draw in range(DRAWS):
        order = np.random.default_rng(draw).permutation(len(images.paths))
        drawn = replace(images, paths=tuple(images.paths[index] for index in order))
        calibration = Calibration(loaded.model, input_hw=input_hw)
        for seen, image in enumerate(drawn.letterboxed(input_hw), start=1):
            calibration.observe(image)
            if seen in counts:
                network = quantized_network(calibration, replace(drawn, paths=drawn.paths[:seen]), "min-max")
                ap = 100 * measure_ap(loaded, network, gate, input_hw=input_hw)
                found[seen].append((ap, fidelity.sqnr_db(network.graph)))
                terminal.say(f"draw {draw}, {seen} images: AP {ap:.2f}, SQNR {found[seen][-1][1]:.2f} dB")
            if draw < DRAWS - 1 and seen == COUNTS[-1]:
                break  # all images are the same in every draw
    for count, values in found.items():
        for name, of_draws in zip(("AP", "SQNR"), np.array(values).T, strict=True):
            low, high = of_draws.min(), of_draws.max()
            terminal.say(f"{count} images: {name} {of_draws.mean():.2f} ({low:.2f} to {high:.2f}, {len(values)} draws)")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
