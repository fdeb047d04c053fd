"""The contract of `Runtime`, checked on each runtime with the same detector of bright spots."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("ai_edge_litert")

from tests.models import SPOT_METADATA, write_spot_detector, write_spot_ir
from tests.tflite_models import write_spot_tflite
from tinydet.edge.detection.detector import Detector
from tinydet.edge.errors import InputError, MissingExtraError
from tinydet.edge.runtimes.opening import open_runtime, runtime_class
from tinydet.edge.runtimes.runtime import DEVICES, Runtime

IMAGES = np.full((2, 64, 64, 3), 220, np.uint8)
IMAGES[1] = 180
SHAPES = [(2, 16, 16, 1), (2, 16, 16, 4), (2, 8, 8, 1), (2, 8, 8, 4), (2, 4, 4, 1), (2, 4, 4, 4)]

Write = Callable[..., Path]
WRITERS: dict[str, Write] = {"onnx": write_spot_detector, "xml": write_spot_ir, "tflite": write_spot_tflite}
MODULES = {
    "onnx": ("onnx_runtime", "onnxruntime", "onnxruntime"),
    "xml": ("openvino", "openvino", "openvino"),
    "tflite": ("litert", "ai_edge_litert.interpreter", "tflite"),
}


@pytest.fixture(params=WRITERS)
def ending(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def spots(ending: str, tmp_path: Path) -> Path:
    return WRITERS[ending](tmp_path / f"spots.{ending}")


@pytest.fixture
def runtime(spots: Path) -> Runtime:
    return open_runtime(spots, threads=1)


def test_runs_and_names_its_runtime(spots: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with open_runtime(spots, threads=1) as runtime:
        assert runtime.metadata == SPOT_METADATA
        assert runtime.name[-1].isdigit()
        assert runtime.device
        assert runtime.provider
        outputs = runtime.infer(IMAGES)
    assert [output.shape for output in outputs] == SHAPES
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}
    np.testing.assert_allclose(outputs[0][0], 2, atol=1e-3)
    np.testing.assert_allclose(outputs[0][1], -2, atol=1e-3)
    np.testing.assert_allclose(outputs[1], 1, atol=1e-6)
    assert capfd.readouterr() == ("", "")


def test_a_spot_is_found(spots: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[8:12, 20:24] = 255
    np.testing.assert_allclose(Detector(spots).detect(image).boxes_xyxy_px, [[18, 6, 26, 14]], atol=0.1)


def test_results_outlive_the_next_image(runtime: Runtime) -> None:
    first = runtime.infer(IMAGES)[0]
    kept = first.copy()
    runtime.infer(np.zeros_like(IMAGES))
    np.testing.assert_array_equal(first, kept)


def test_submissions_keep_their_own_results(runtime: Runtime) -> None:
    images = [np.full_like(IMAGES, 30 * value) for value in range(8)]
    found = [future.result()[0] for future in [runtime.submit(runtime.infer, image) for image in images]]
    for image, outputs in zip(images, found, strict=True):
        np.testing.assert_array_equal(runtime.infer(image)[0], outputs)
    assert len({outputs.tobytes() for outputs in found}) == 8


def test_many_threads_at_once_get_their_own_results(runtime: Runtime) -> None:
    images = [np.full((1, 64, 64, 3), 20 * value, np.uint8) for value in range(12)]
    alone = [runtime.infer(image)[0] for image in images]
    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            for expected, found in zip(alone, threads.map(runtime.infer, images), strict=True):
                np.testing.assert_array_equal(found[0], expected)


def test_a_submission_that_fails_says_so(runtime: Runtime) -> None:
    object.__setattr__(runtime.metadata, "input_hw", (32, 32))  # lets images through that the graph does not take
    with pytest.raises(Exception, match=r"(?i)64|shape|dimension"):
        runtime.submit(runtime.infer, np.zeros((1, 32, 32, 3), np.uint8)).result(timeout=20)
    object.__setattr__(runtime.metadata, "input_hw", (64, 64))
    assert runtime.submit(runtime.infer, IMAGES).result(timeout=20)


def test_a_closed_runtime_takes_nothing(runtime: Runtime) -> None:
    future = runtime.submit(runtime.infer, IMAGES)
    runtime.close()
    assert future.done(), "close waits for what is under way"
    with pytest.raises(ValueError, match="closed"):
        runtime.submit(runtime.infer, IMAGES)
    with pytest.raises(ValueError, match="closed"):
        runtime.infer(IMAGES)


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 64, 64, 3), np.float32), np.zeros((1, 3, 64, 64), np.uint8), np.zeros((64, 64, 3), np.uint8)],
)
def test_other_images_are_refused(runtime: Runtime, images: npt.NDArray[Any]) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \(N, 64, 64, 3\), got"):
        runtime.infer(images)


@pytest.mark.parametrize("kept", [0, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_one_line(spots: Path, kept: float, capfd: pytest.CaptureFixture[str]) -> None:
    content = spots.read_bytes()
    spots.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(InputError, match=spots.name) as caught:
        open_runtime(spots)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_no_model_is_refused(spots: Path) -> None:
    spots.write_text("just some notes")
    with pytest.raises(InputError, match=r"cannot load .*spots\..*: not an? "):
        open_runtime(spots)


@pytest.mark.parametrize(
    "metadata_json", [None, json.dumps(json.loads(SPOT_METADATA.to_json()) | {"schema_version": 99})]
)
def test_missing_or_newer_metadata_is_named(ending: str, tmp_path: Path, metadata_json: str | None) -> None:
    path = WRITERS[ending](tmp_path / f"spots.{ending}", metadata_json=metadata_json)
    said = "carries no tinydet metadata.*make artifacts with `tinydet export`"
    with pytest.raises(InputError, match=said if metadata_json is None else "artifact metadata: schema_version is 99"):
        open_runtime(path)


def test_a_missing_runtime_names_its_extra(ending: str, spots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, package, extra = MODULES[ending]
    monkeypatch.delitem(sys.modules, f"tinydet.edge.runtimes.{module}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setitem(sys.modules, "tflite_runtime", None)
    with pytest.raises(MissingExtraError, match=rf"needs .*: pip install 'tinydet\[{extra}\]'"):
        open_runtime(spots)


def test_the_device_asked_for_or_none(ending: str, spots: Path) -> None:
    """Also on machines with a GPU or an NPU: a listed device may not work, but the model never runs on another."""
    devices = runtime_class(ending).devices()
    assert devices[0] == "cpu"
    with open_runtime(spots, device="cpu") as asked, open_runtime(spots) as usual:
        assert asked.provider == usual.provider
    for device in {*DEVICES, "tpu"} - set(devices):
        with pytest.raises(InputError, match=rf"cannot run .*spots\.{ending} on {device}: ") as caught:
            open_runtime(spots, device=device)
        assert "\n" not in str(caught.value)
