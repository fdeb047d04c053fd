from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from tests.models import write_spot_detector
from tinydet.edge.errors import InputError
from tinydet.edge.runtimes.onnx_metadata import read_onnx
from tinydet.edge.runtimes.onnx_runtime import OnnxRuntime


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_spot_detector(tmp_path / "spots-64px-fp32.onnx")


def test_it_reads_the_same_as_onnxruntime(artifact: Path) -> None:
    with OnnxRuntime.open(artifact, threads=1) as runtime:
        assert read_onnx(artifact).metadata == runtime.metadata


def test_other_properties_do_not_disturb(artifact: Path) -> None:
    model = onnx.load(artifact)
    properties = {"author": "someone", **{prop.key: prop.value for prop in model.metadata_props}, "empty": ""}
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, artifact)
    assert read_onnx(artifact).metadata.model


def test_a_file_without_metadata(artifact: Path) -> None:
    model = onnx.load(artifact)
    del model.metadata_props[:]
    onnx.save(model, artifact)
    with pytest.raises(InputError, match="carries no tinydet metadata"):
        read_onnx(artifact)


@pytest.mark.parametrize("content", [b"\xff\xff\xff", b"\x72\x80", b"\x72\x7fabc", b"no model at all"])
def test_a_file_that_is_no_model(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not an ONNX model, or cut short"):
        read_onnx(path)


def test_a_file_cut_short(artifact: Path) -> None:
    content = artifact.read_bytes()
    artifact.write_bytes(content[: len(content) - 9])
    with pytest.raises(InputError):
        read_onnx(artifact)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_onnx(tmp_path / "x.onnx")
