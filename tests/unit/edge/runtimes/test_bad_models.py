"""Damaged and senseless artifacts of all runtimes: refused on opening, in one line."""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from onnx import numpy_helper

from tests.models import SPOT_METADATA, write_spot_detector, write_spot_ir
from tests.tflite_models import SpotModel, write_spot_tflite
from tinydet.converters.onnx import OnnxTarget
from tinydet.converters.openvino import OpenvinoTarget
from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.runtimes.opening import open_runtime
from tinydet.edge.runtimes.openvino import staged_weights
from tinydet.edge.runtimes.tflite_file import join, read_tflite

WRITERS: dict[str, Callable[..., Path]] = {
    "spots.onnx": write_spot_detector,
    "spots.tflite": write_spot_tflite,
    "spots.xml": write_spot_ir,
}
GOOD = json.loads(SPOT_METADATA.to_json())


@pytest.fixture(params=WRITERS)
def writer(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Path]:
    """Writes the spot detector as one kind of artifact."""
    return lambda **changes: WRITERS[request.param](tmp_path / request.param, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "../escaped/x"}, "model: expected 1 to 64 letters"),
        ({"model": ""}, "model: expected 1 to 64 letters"),
        ({"class_names": ["red \x1b[31m"]}, r"class_names\[0\]: expected 1 to 200 printable"),
        ({"class_names": ["a\nb"]}, "printable"),
        ({"class_names": [""]}, "printable"),
        ({"class_names": ["x" * 300]}, "printable"),
        ({"class_names": ["a", "a"]}, "class_names"),
        ({"input_hw": [2**31, 2**31]}, r"input_hw\[0\]: expected 1 to 8192"),
        ({"max_detections": 2**62}, "max_detections: expected 1 to"),
        ({"clas_names": ["spot"]}, r"clas_names; did you mean class_names\?"),
        ({"accuracy": {"AP": "@deep"}}, "levels of objects and lists|level"),
        ({"score_threshold": "@digits"}, "64 bits"),
        ({"score_threshold": "@nan"}, "finite numbers, got NaN"),
    ],
)
def test_metadata(writer: Callable[..., Path], changes: dict[str, Any], message: str) -> None:
    text = json.dumps(GOOD | changes)
    for mark, raw in {'"@deep"': "[" * 9000 + "]" * 9000, '"@digits"': "1" * 5000, '"@nan"': "NaN"}.items():
        text = text.replace(mark, raw)
    with pytest.raises(InputError, match=message):
        open_runtime(writer(metadata_json=text))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers(tmp_path: Path, value: float) -> None:
    path = write_spot_detector(tmp_path / "spots.onnx")
    _spoil(path, value)
    for _ in range(2):  # the first failure is not remembered as a success
        with pytest.raises(InputError, match=r"spots\.onnx: the model gives NaN or infinity in logits_p2"):
            open_runtime(path)


def _spoil(path: Path, value: float) -> None:
    """Replace the first weight."""
    model = onnx.load(path)
    (first, *_) = model.graph.initializer
    weight = numpy_helper.to_array(first).copy()
    weight.flat[0] = value
    first.CopyFrom(numpy_helper.from_array(weight, first.name))
    onnx.save(model, path)


def test_a_flipped_bit_in_the_weights_of_onnx(tmp_path: Path) -> None:
    path = write_spot_detector(tmp_path / "spots.onnx")
    target = OnnxTarget()
    target.write(path, *target.read(path))
    open_runtime(path).close()
    _flip(path, path.read_bytes().index(np.full(1, -20, np.float32).tobytes()))
    with pytest.raises(InputError, match="is damaged: its check sum is"):
        open_runtime(path)


def test_a_flipped_bit_in_the_graph_of_an_ir(tmp_path: Path) -> None:
    path = write_spot_ir(tmp_path / "spots.xml")
    target = OpenvinoTarget()
    target.write(path, *target.read(path))
    open_runtime(path).close()
    _flip(path, path.read_bytes().index(b'strides="4'))
    with pytest.raises(InputError, match="is damaged: its check sum is"):
        open_runtime(path)


def test_a_flipped_bit_in_the_weights_of_tflite(tmp_path: Path) -> None:
    path = write_spot_tflite(tmp_path / "spots.tflite")
    open_runtime(path).close()
    _flip(path, path.read_bytes().index(np.full(1, -20, np.float32).tobytes()))
    with pytest.raises(InputError, match="is damaged: its check sum is"):
        open_runtime(path)


def test_a_tflite_artifact_of_an_earlier_version_opens(tmp_path: Path) -> None:
    path = tmp_path / "spots.tflite"
    content = join(SpotModel(SPOT_METADATA).content(), SPOT_METADATA)
    path.write_bytes(content.replace(b"tinydet_weights_crc32=", b"something_else_crc32=_"))
    open_runtime(path).close()
    assert read_tflite(path).metadata == SPOT_METADATA


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", ["named pipe", "socket", "folder", "device"])
def test_no_regular_file(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    if kind == "named pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(str(path))
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(InputError, match=f"is a {kind}: expected a file"):
        open_runtime(path)


@pytest.mark.parametrize("name", WRITERS)
def test_eight_gibibytes_of_holes(tmp_path: Path, name: str) -> None:
    path = WRITERS[name](tmp_path / name)
    with path.open("r+b") as file:
        file.truncate(8 << 30)
    with pytest.raises(InputError, match=r"expected at most .* MiB, got 8192\.0 MiB"):
        open_runtime(path)


def test_an_error_of_the_runtime_is_an_input_error(tmp_path: Path) -> None:
    runtime = open_runtime(write_spot_detector(tmp_path / "spots.onnx"))
    object.__setattr__(runtime.metadata, "input_hw", (32, 32))  # lets images through that the graph does not take
    with pytest.raises(InputError, match="cannot run this model on CPU"):
        runtime.infer(np.zeros((1, 32, 32, 3), np.uint8))


@pytest.mark.parametrize("survives", ["nothing", "the .bin", "both"])
def test_an_export_that_is_killed_leaves_the_old_pair_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survives: str
) -> None:
    old = write_spot_ir(_folder(tmp_path, "old") / "spots.xml")
    target = OpenvinoTarget()
    source = write_spot_detector(tmp_path / "new.onnx")
    _spoil(source, 0.2)  # another .bin
    model = openvino.Core().read_model(source)
    metadata = ArtifactMetadata.from_json(json.dumps(GOOD | {"max_detections": 7}))
    renames = 0 if survives == "nothing" else 1 if survives == "the .bin" else 2

    def replace(source: Path, destination: Path) -> Path:
        nonlocal renames
        renames -= 1
        if renames < 0:
            raise KeyboardInterrupt
        return source.rename(destination)

    with monkeypatch.context() as context:
        context.setattr(Path, "replace", replace)
        with pytest.raises(KeyboardInterrupt):
            target.write(old, model, metadata)
    killed = _folder(tmp_path, "killed")
    for path in old.parent.iterdir():
        shutil.copy(path, killed)
    with open_runtime(killed / "spots.xml") as runtime:
        assert runtime.metadata.max_detections == (7 if survives == "both" else 1500)
    target.write(old, model, metadata)
    assert sorted(path.name for path in old.parent.iterdir()) == ["spots.bin", "spots.xml"]
    assert open_runtime(old).metadata.max_detections == 7
    assert staged_weights(old, "0" * 64).name == ".spots.0000000000000000.bin"


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
