"""Accuracy of networks and artifacts, measured through the runtime that runs them on a board."""

from __future__ import annotations

from pathlib import Path

from tinydet.converters.onnx import OnnxTarget
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.detection.detector import Detector
from tinydet.edge.evaluation.average_precision import Accuracy
from tinydet.edge.evaluation.evaluate import Progress, evaluate
from tinydet.edge.files.folders import temporary_folder
from tinydet.quantization.gate import Gate
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
    """Measure the accuracy of `network` (None: of the float network) as an ONNX artifact in ONNX Runtime."""
    with temporary_folder() as folder:
        precision = "fp32" if network is None else "int8"
        path = OnnxTarget().export(loaded, folder, precision=precision, input_hw=input_hw, quantized=network)
        return measure_artifact(path, dataset, progress)


def measure_ap(
    loaded: LoadedDetector,
    network: QuantizedNetwork | None,
    gate: Gate,
    *,
    input_hw: tuple[int, int],
    progress: Progress | None = None,
) -> float:
    """Measure AP, 0 to 1, of `network` as `measure_network` does, on the gate's data and the classes that count."""
    return gate.mean_ap(measure_network(loaded, network, gate.dataset, input_hw=input_hw, progress=progress))


def measure_artifact(path: Path, dataset: Dataset, progress: Progress | None = None) -> Accuracy:
    """Measure the accuracy of an artifact through its runtime."""
    with Detector(path) as detector:
        return evaluate(detector, dataset, progress)
