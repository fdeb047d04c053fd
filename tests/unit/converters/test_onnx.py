from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.models import write_spot_detector
from tests.networks import (
    CALIBRATION,
    CLASS_NAMES,
    INPUT_HW,
    calibrated,
    detector,
    images,
    loaded_detector,
    quantized_network,
)
from tests.paths import REPOSITORY
from tinydet.converters.onnx import OnnxTarget
from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import METRIC_KEYS, Accuracy
from tinydet.edge.runtimes.onnx_runtime import OnnxRuntime

ACCURACY = Accuracy(
    overall=dict.fromkeys(METRIC_KEYS, 0.5) | {"APvt": None},
    per_class={"person": dict.fromkeys(METRIC_KEYS, 0.25)},
)


def metadata_of(path: Path) -> ArtifactMetadata:
    with OnnxRuntime.open(path, threads=1) as runtime:
        return runtime.metadata


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return OnnxTarget().export(loaded_detector(), tmp_path_factory.mktemp("fp32"), precision="fp32")


def test_fp32_carries_its_metadata(fp32: Path) -> None:
    assert fp32.name == "n-128px-fp32.onnx"
    metadata = metadata_of(fp32)
    assert metadata.model == "n"
    assert metadata.class_names == CLASS_NAMES
    assert metadata.input_hw == INPUT_HW
    assert metadata.strides == (4, 8, 16)
    assert (metadata.precision, metadata.quantization, metadata.calibration) == ("fp32", None, None)
    assert metadata.checkpoint_sha256 == loaded_detector().sha256
    assert set(metadata.tool_versions) == {"tinydet", "torch", "onnx"}
    assert OnnxTarget().summary(fp32) == "0 of 78 convolutions in INT8"


def test_int8_carries_its_metadata(tmp_path: Path) -> None:
    path = OnnxTarget().export(loaded_detector(), tmp_path, quantized=quantized_network(), precision="int8")
    assert path == tmp_path / "n-128px-int8.onnx"
    metadata = metadata_of(path)
    assert (metadata.precision, metadata.quantization, metadata.calibration) == ("int8", "ptq", CALIBRATION)
    assert set(metadata.tool_versions) == {"tinydet", "torch", "onnx", "torchao"}
    assert OnnxTarget().summary(path) == "78 of 78 convolutions in INT8"


def test_opset_and_ir_version_are_ones_that_older_runtimes_read(fp32: Path) -> None:
    model = onnx.load(fp32)
    assert model.ir_version == 10
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 21)]


def test_nothing_of_the_exporting_machine_is_inside(fp32: Path) -> None:
    content = fp32.read_bytes()
    assert str(REPOSITORY).encode() not in content
    assert str(fp32.parent).encode() not in content


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    """All steps twice: captured, calibrated and written."""
    contents = set()
    for folder in ("first", "second"):
        graph = calibrated(detector(), images(2, seed=3)).quantized_graph("min-max")
        network = replace(quantized_network(), graph=graph)
        contents.add(
            OnnxTarget().export(loaded_detector(), tmp_path / folder, quantized=network, precision="int8").read_bytes()
        )
    assert len(contents) == 1


def test_a_size_other_than_the_trained_one(tmp_path: Path) -> None:
    path = OnnxTarget().export(loaded_detector(), tmp_path, input_hw=(64, 192), precision="fp32")
    assert path.name == "n-192x64px-fp32.onnx"
    with OnnxRuntime.open(path, threads=1) as runtime:
        outputs = runtime.infer(np.zeros((1, 64, 192, 3), np.uint8))
    assert [output.shape for output in outputs[:2]] == [(1, 16, 48, 3), (1, 16, 48, 4)]


def test_another_size_than_the_calibrated_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"calibrated for input \(128, 128\), asked to export for \(64, 64\)"):
        OnnxTarget().export(
            loaded_detector(), tmp_path, input_hw=(64, 64), quantized=quantized_network(), precision="int8"
        )


def test_measured_accuracy_changes_the_metadata_alone(fp32: Path, tmp_path: Path) -> None:
    path = tmp_path / fp32.name
    path.write_bytes(fp32.read_bytes())
    before, old_metadata = onnx.load(path), metadata_of(path)
    OnnxTarget().record_accuracy(path, ACCURACY, "val.json")
    after, metadata = onnx.load(path), metadata_of(path)
    assert metadata.accuracy == {**ACCURACY.as_dict(), "data": "val.json"}
    assert replace(metadata, accuracy=None) == old_metadata
    assert after.graph == before.graph
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_accuracy_of_a_file_without_metadata_is_refused(tmp_path: Path) -> None:
    path = write_spot_detector(tmp_path / "bare.onnx", metadata_json=None)
    with pytest.raises(InputError, match="carries no tinydet metadata"):
        OnnxTarget().record_accuracy(path, ACCURACY, "val.json")


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="cannot write"):
        OnnxTarget().export(loaded_detector(), tmp_path / "file", precision="fp32")
