from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.networks import INPUT_PX, detector, loaded_detector, quantized_network, write_labelled_images
from tinydet.converters.onnx import OnnxTarget
from tinydet.converters.parity import AGREEMENT_IOU, agreement, find_artifacts, measure_parity
from tinydet.edge.artifact import WEIGHTS_KEY
from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.training.checkpoint import LoadedDetector


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(write_labelled_images(tmp_path_factory.mktemp("dataset"), val=5), split="val")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts")
    OnnxTarget().export(loaded_detector(), folder, precision="fp32")
    OnnxTarget().export(loaded_detector(), folder, precision="int8", quantized=quantized_network())
    return folder


def enlarge_a_scale(source: Path, target: Path, scale_name: str) -> None:
    model = onnx.load(source)
    for tensor in model.graph.initializer:
        if tensor.name == scale_name:
            tensor.CopyFrom(numpy_helper.from_array(np.float32(20) * numpy_helper.to_array(tensor), scale_name))
            break
    else:
        raise AssertionError(scale_name)
    kept = [entry for entry in model.metadata_props if entry.key != WEIGHTS_KEY]  # a check sum would tell at once
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    onnx.save(model, target)


def a_grid_inside(path: Path) -> str:
    """The scale of the quantization behind the first convolution."""
    names: list[str] = [node.input[1] for node in onnx.load(path).graph.node if node.op_type == "QuantizeLinear"]
    return names[3]


def test_properties_of_artifacts(artifacts: Path, dataset: Dataset) -> None:
    parity = measure_parity(find_artifacts(artifacts), dataset, threads=1)
    fp32, int8 = parity.artifacts
    assert (fp32.precision, int8.precision) == ("fp32", "int8")
    assert fp32.grid is None
    assert int8.grid is not None and len(int8.grid) > 20
    assert int8.float_operators == 0
    assert int8.accuracy is not None
    (pair,) = parity.pairs
    assert pair.lsb_mean is not None and pair.lsb_p99 is not None and pair.lsb_max is not None
    assert 0 < pair.lsb_mean < pair.lsb_p99 < pair.lsb_max
    assert parity.violations() == []  # float against INT8 promises nothing


def test_the_same_artifact_twice_agrees_exactly(artifacts: Path, dataset: Dataset, tmp_path: Path) -> None:
    (int8,) = artifacts.glob("*int8.onnx")
    for name in ("a.onnx", "b.onnx"):
        (tmp_path / name).write_bytes(int8.read_bytes())
    parity = measure_parity(find_artifacts(tmp_path), dataset, threads=1)
    (pair,) = parity.pairs
    assert (pair.lsb_mean, pair.lsb_max, pair.agreement) == (0, 0, 1)
    assert parity.violations() == []


def test_a_wrong_scale_is_found(artifacts: Path, dataset: Dataset, tmp_path: Path) -> None:
    (int8,) = artifacts.glob("*int8.onnx")
    (tmp_path / "a.onnx").write_bytes(int8.read_bytes())
    enlarge_a_scale(int8, tmp_path / "b.onnx", a_grid_inside(int8))
    parity = measure_parity(find_artifacts(tmp_path), dataset, threads=1)
    found = parity.violations()
    assert any("(scale, zero point) pairs are in only one of them" in line for line in found), found
    assert any("LSB on average" in line for line in found), found


def test_the_command_writes_its_result_as_json(
    artifacts: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tmp_path / "parity.json"
    folder = str(dataset.path.parent.parent)
    assert main(["parity", str(artifacts), "--data", folder, "--json", str(result), "--threads", "1"]) == 0
    content = json.loads(result.read_text(encoding="utf-8"))
    assert [row["precision"] for row in content["artifacts"]] == ["fp32", "int8"]
    assert content["violations"] == []
    assert "the INT8 artifacts on the shared grid agree" in capsys.readouterr().err


def test_artifacts_of_two_checkpoints_are_refused(artifacts: Path, dataset: Dataset, tmp_path: Path) -> None:
    (int8,) = artifacts.glob("*int8.onnx")
    (tmp_path / int8.name).write_bytes(int8.read_bytes())
    other = LoadedDetector(model=detector(), input_px=INPUT_PX, sha256="3" * 64, training={})
    OnnxTarget().export(other, tmp_path, precision="fp32")
    with pytest.raises(InputError, match="of different networks: their checkpoint_sha256"):
        measure_parity(find_artifacts(tmp_path), dataset, threads=1)


def test_a_folder_without_two_artifacts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has 0 artifacts, expected two"):
        find_artifacts(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        find_artifacts(tmp_path / "nowhere")


def boxes(*rows: tuple[float, float, float, float], class_id: int = 0) -> Detections:
    count = len(rows)
    return Detections(
        boxes_xyxy_px=np.array(rows, np.float32).reshape(count, 4),
        scores=np.full(count, 0.9, np.float32),
        class_ids=np.full(count, class_id, np.int64),
    )


def test_agreement_counts_partners_of_both() -> None:
    first = boxes((0, 0, 20, 20), (50, 50, 60, 60))
    near = boxes((0, 0, 20, 19), (90, 90, 99, 99), (0, 0, 5, 5))  # the first at IoU 0.95, the others of nobody
    assert AGREEMENT_IOU == 0.9
    assert agreement([first], [near]) == pytest.approx(2 / 5)
    assert agreement([first], [first]) == 1
    assert agreement([first], [boxes((0, 0, 20, 20), (50, 50, 60, 60), class_id=1)]) == 0
    assert agreement([first], [boxes()]) == 0
    assert agreement([boxes()], [boxes()]) == 1
    with pytest.raises(ValueError):  # noqa: PT011  # zip's
        agreement([first], [])
