from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest

from edge.errors import InputError, MissingExtraError
from edge.runtimes import open_runtime
from edge.runtimes.openvino import WEIGHTS_KEY
from tests.models import SPOT_METADATA, write_spot_detector

IMAGES = np.full((2, 64, 64, 3), 220, np.uint8)


def write_ir(folder: Path, *, metadata_json: str | None = SPOT_METADATA.to_json(), name: str = "spots") -> Path:
    """The detector of bright spots as an IR, as the export writes it."""
    model = openvino.Core().read_model(write_spot_detector(folder / "spots.onnx"))
    path = folder / f"{name}.xml"
    openvino.save_model(model, path, compress_to_fp16=False)
    weights_sha256 = hashlib.sha256(path.with_suffix(".bin").read_bytes()).hexdigest()
    if metadata_json is not None:
        model.set_rt_info(metadata_json, ["tinydet"])
        model.set_rt_info(weights_sha256, [WEIGHTS_KEY])
    openvino.save_model(model, path, compress_to_fp16=False)
    return path


def test_runs_and_says_what_ran(tmp_path: Path) -> None:
    path = write_ir(tmp_path)
    with open_runtime(path, threads=1) as runtime, open_runtime(tmp_path / "spots.onnx", threads=1) as onnx:
        assert runtime.metadata == SPOT_METADATA
        assert runtime.name == f"openvino {openvino.__version__.partition('-')[0]}"
        assert runtime.device
        assert runtime.provider == "CPU"
        for got, want in zip(runtime.infer(IMAGES), onnx.infer(IMAGES), strict=True):
            assert (got.dtype, got.shape) == (want.dtype, want.shape)
            np.testing.assert_allclose(got, want, atol=1e-5)


def test_results_belong_to_the_caller(tmp_path: Path) -> None:
    with open_runtime(write_ir(tmp_path), threads=1) as runtime:
        first = runtime.infer(IMAGES)[0]
        kept = first.copy()
        runtime.infer(np.zeros_like(IMAGES))
    np.testing.assert_array_equal(first, kept)


def test_submissions_keep_their_own_results(tmp_path: Path) -> None:
    with open_runtime(write_ir(tmp_path), threads=2) as runtime:
        assert runtime.parallel >= 1
        images = [np.full_like(IMAGES, 30 * value) for value in range(8)]
        expected = [future.result()[0] for future in [runtime.submit(image) for image in images]]
        for image, outputs in zip(images, expected, strict=True):
            np.testing.assert_array_equal(runtime.infer(image)[0], outputs)
    assert len({outputs.tobytes() for outputs in expected}) > 4, "the images differ"


@pytest.mark.parametrize("ending", [".xml", ".onnx"])
def test_a_submission_that_fails_says_so(tmp_path: Path, ending: str) -> None:
    runtime = open_runtime(write_ir(tmp_path).with_suffix(ending), threads=1)
    object.__setattr__(runtime.metadata, "input_hw", (32, 32))  # lets images through that the graph does not take
    with pytest.raises(Exception, match=r"64|shape|dimension"):
        runtime.submit(np.zeros((1, 32, 32, 3), np.uint8)).result(timeout=20)
    object.__setattr__(runtime.metadata, "input_hw", (64, 64))
    assert runtime.submit(IMAGES).result(timeout=20)


@pytest.mark.parametrize("ending", [".xml", ".onnx"])
def test_a_closed_runtime_takes_nothing(tmp_path: Path, ending: str) -> None:
    runtime = open_runtime(write_ir(tmp_path).with_suffix(ending), threads=1)
    future = runtime.submit(IMAGES)
    runtime.close()
    assert future.done(), "close waits for what is under way"
    for call in (runtime.submit, runtime.infer):
        with pytest.raises(ValueError, match="closed"):
            call(IMAGES)


def test_a_missing_bin_is_named(tmp_path: Path) -> None:
    path = write_ir(tmp_path)
    path.with_suffix(".bin").unlink()
    with pytest.raises(InputError, match=r"spots\.bin does not exist: an IR is two files side by side"):
        open_runtime(path)


def test_a_truncated_bin_is_one_line(tmp_path: Path) -> None:
    path = write_ir(tmp_path)
    weights = path.with_suffix(".bin").read_bytes()
    path.with_suffix(".bin").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(InputError, match=r"spots\.(xml|bin)") as caught:
        open_runtime(path)
    assert "\n" not in str(caught.value)


def test_the_bin_of_another_model_is_refused(tmp_path: Path) -> None:
    path = write_ir(tmp_path)
    weights = bytearray(path.with_suffix(".bin").read_bytes())
    weights[-1] ^= 1
    path.with_suffix(".bin").write_bytes(weights)
    with pytest.raises(InputError, match=r"spots\.bin is not the one that spots\.xml was written with: export again"):
        open_runtime(path)


@pytest.mark.parametrize("kept", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_damaged_xml_is_one_line(tmp_path: Path, kept: float, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_ir(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=r"cannot load .*spots\.xml: not an OpenVINO IR, cut short") as caught:
        open_runtime(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_missing_metadata_names_the_command_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="carries no tinydet metadata: make artifacts with `tinydet export`"):
        open_runtime(write_ir(tmp_path, metadata_json=None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema_version": 99}, r"spots\.xml: artifact metadata: schema_version is 99"),
        ({"input_hw": [128, 128]}, r"metadata promises image as \(\(128, 128, 3\), 'u8'\), the graph has it as"),
        ({"strides": [4, 8]}, "metadata promises logits_p4 as absent, the graph has it as"),
        ({"class_names": ["spot", "blob"]}, r"metadata promises logits_p2 as \(\(16, 16, 2\), 'f32'\)"),
    ],
)
def test_the_metadata_of_another_model_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    metadata_json = json.dumps(json.loads(SPOT_METADATA.to_json()) | changes)
    with pytest.raises(InputError, match=message):
        open_runtime(write_ir(tmp_path, metadata_json=metadata_json))


def test_a_missing_openvino_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_ir(tmp_path)
    monkeypatch.delitem(sys.modules, "edge.runtimes.openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"needs openvino: pip install 'tinydet\[openvino\]'"):
        open_runtime(path)
