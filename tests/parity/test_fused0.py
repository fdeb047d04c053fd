"""A detector on the backbone fused0: 8 bits throughout in every target, on one grid, with CEM and FBSM by name."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("litert_torch")
pytest.importorskip("openvino")

from tests.networks import CALIBRATION, INPUT_HW, INPUT_PX, calibrated, detector, images
from tinydet.converters.parity import find_artifacts
from tinydet.converters.target import load_target
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.training.checkpoint import LoadedDetector

pytestmark = pytest.mark.slow


def test_int8_has_one_grid_and_no_float_in_three_targets(tmp_path: Path) -> None:
    model = detector(backbone="fused0")
    calibration = calibrated(model, images(4, seed=2))
    assert {"stem", "stages.0", "stages.5", "cem", "fbsm.0", "heads.2"} <= set(calibration.blocks)
    network = QuantizedNetwork(
        graph=calibration.quantized_graph("min-max"), input_hw=INPUT_HW, method="ptq", calibration=CALIBRATION
    )
    loaded = LoadedDetector(model=model, input_px=INPUT_PX, sha256="2" * 64, training={})
    targets = [load_target(name) for name in ("onnx", "tflite", "openvino")]
    paths = [target.export(loaded, tmp_path, precision="int8", quantized=network) for target in targets]
    grids = [target.grid(path) for target, path in zip(targets, paths, strict=True)]
    assert len(grids[0]) > 30
    assert grids[0] == grids[1] == grids[2]
    assert [target.float_operators(path) for target, path in zip(targets, paths, strict=True)] == [0, 0, 0]
    assert len(find_artifacts(tmp_path)) == 3
