"""AP of networks that are no artifacts yet, through the runtime that would fly them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from tinydet.converters.onnx import OnnxTarget
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.detection.detector import Detector
from tinydet.edge.evaluation.average_precision import Accuracy
from tinydet.edge.evaluation.evaluate import Progress, evaluate
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.training.checkpoint import LoadedDetector


def measure_network(
    loaded: LoadedDetector,
    network: QuantizedNetwork | None,
    dataset: Dataset,
    *,
    input_hw: tuple[int, int],
    progress: Progress | None = None,
) -> Accuracy:
    """Accuracy of `network` (None: of the float network) as an ONNX artifact in ONNX Runtime."""
    with TemporaryDirectory() as folder:
        precision = "fp32" if network is None else "int8"
        path = OnnxTarget().export(loaded, Path(folder), precision=precision, input_hw=input_hw, quantized=network)
        return measure_file(path, dataset, progress)


def measure_file(path: Path, dataset: Dataset, progress: Progress | None = None) -> Accuracy:
    """Accuracy of an artifact through its runtime."""
    detector = Detector(path)
    try:
        return evaluate(detector, dataset, progress)
    finally:
        detector.runtime.close()
