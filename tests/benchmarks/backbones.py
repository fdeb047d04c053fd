"""Times `n` on several backbones, INT8, in every runtime: `python -m tests.benchmarks.backbones [BACKBONE...]`.

Weights of neck and heads are random: times do not depend on them. The artifacts of a runtime run in turns, on an
otherwise idle machine; the first backbone is the reference of the ratios.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from tests.networks import CALIBRATION, calibrated, images
from tinydet.converters.target import load_target
from tinydet.edge.runtimes.opening import open_runtime
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.training.checkpoint import LoadedDetector
from tinydet.training.engine.pretrained import load_pretrained
from tinydet.training.model import build_detector, model_config

INPUT_PX = 640
ROUNDS, RUNS = 10, 6
FORMATS = ("onnx", "openvino", "tflite")


def main() -> None:
    """Build, measure and print."""
    backbones = sys.argv[1:] or ["lite0", "fused0"]
    with tempfile.TemporaryDirectory() as folder:
        artifacts = {backbone: _artifacts(backbone, Path(folder) / backbone) for backbone in backbones}
        for index, name in enumerate(FORMATS):
            times_ms = _times_ms({backbone: paths[index] for backbone, paths in artifacts.items()})
            reference = times_ms[backbones[0]]
            shown = (f"{backbone} {ms:.1f} ms ({ms / reference:.2f})" for backbone, ms in times_ms.items())
            print(f"{name}: {', '.join(shown)}", flush=True)  # noqa: T201


def _artifacts(backbone: str, folder: Path) -> list[Path]:
    torch.manual_seed(0)
    config = model_config("n", ("vehicle", "person"), backbone=backbone)
    model = build_detector(config).eval()
    load_pretrained(model.backbone, backbone)
    calibration = calibrated(model, images(2, size_px=INPUT_PX))
    network = QuantizedNetwork(
        graph=calibration.quantized_graph("min-max"),
        input_hw=(INPUT_PX, INPUT_PX),
        method="ptq",
        calibration=CALIBRATION,
    )
    loaded = LoadedDetector(model=model, input_px=INPUT_PX, sha256="0" * 64, training={})
    folder.mkdir()
    return [load_target(name).export(loaded, folder, precision="int8", quantized=network) for name in FORMATS]


def _times_ms(paths: dict[str, Path]) -> dict[str, float]:
    """Lower quartile of the time of one inference, in ms."""
    runtimes = {backbone: open_runtime(path, threads=2) for backbone, path in paths.items()}
    image = np.random.default_rng(0).integers(0, 256, (1, INPUT_PX, INPUT_PX, 3), dtype=np.uint8)
    times: dict[str, list[float]] = {backbone: [] for backbone in runtimes}
    for _ in range(ROUNDS):
        for backbone, runtime in runtimes.items():
            runtime.infer(image)
            for _ in range(RUNS):
                start = time.perf_counter()
                runtime.infer(image)
                times[backbone].append(1e3 * (time.perf_counter() - start))
    for runtime in runtimes.values():
        runtime.close()
    return {backbone: float(np.quantile(values, 0.25)) for backbone, values in times.items()}


if __name__ == "__main__":
    main()
