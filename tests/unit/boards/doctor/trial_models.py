"""Writes the models that `tinydet doctor` runs, boards/doctor/models. Needs OpenVINO.

    python -m tests.unit.boards.doctor.trial_models

The spot detector of `tests.models`: in float as ONNX and OpenVINO IR, in INT8 as TFLite.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.models import spot_metadata, write_spot_detector
from tests.tflite_models import write_spot_tflite
from tinydet.boards.doctor.runtime_trial import MODELS
from tinydet.edge.artifact import METADATA_KEY

FLOAT = spot_metadata(tool_versions={})
INT8 = spot_metadata(tool_versions={}, precision="int8", quantization="ptq")


def write_onnx(folder: Path) -> Path:
    """Into `folder`; the same bytes every time."""
    return write_spot_detector(folder / "spots.onnx", FLOAT)


def write_tflite(folder: Path) -> Path:
    """Into `folder`; the same bytes every time."""
    return write_spot_tflite(folder / "spots.tflite", INT8)


def write_ir(folder: Path) -> Path:
    """Into `folder`, from the ONNX file there; other releases of OpenVINO write other bytes."""
    import openvino

    from tinydet.edge.runtimes.openvino import WEIGHTS_KEY

    path = folder / "spots.xml"
    model = openvino.Core().read_model(folder / "spots.onnx")
    model.set_rt_info(FLOAT.to_json(), [METADATA_KEY])
    openvino.save_model(model, path, compress_to_fp16=False)
    weights = path.with_suffix(".bin").read_bytes()
    model.set_rt_info(hashlib.sha256(weights).hexdigest(), [WEIGHTS_KEY])
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


if __name__ == "__main__":
    for write in (write_onnx, write_tflite, write_ir):
        write(MODELS)
