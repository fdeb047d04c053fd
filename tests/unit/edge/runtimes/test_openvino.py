from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import pytest
from openvino import opset13 as opset

from tests.models import SPOT_METADATA, sum_ir, write_spot_ir
from tinydet.edge.errors import InputError
from tinydet.edge.runtimes.opening import open_runtime
from tinydet.edge.runtimes.openvino import keep_rounding


def test_images_go_one_by_one_where_the_device_takes_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    path = write_spot_ir(tmp_path / "spots.xml")
    with monkeypatch.context() as any_batch:
        any_batch.setattr("tinydet.edge.runtimes.openvino.ONE_IMAGE", ())
        with open_runtime(path) as at_once:
            expected = at_once.infer(images)
    with open_runtime(path) as one_by_one, pytest.raises(RuntimeError):  # the compiled model itself takes no batch
        one_by_one._idle.get().infer({0: images})  # type: ignore[attr-defined]
    with open_runtime(path) as one_by_one:
        for got, want in zip(one_by_one.infer(images), expected, strict=True):
            np.testing.assert_array_equal(got, want)


def test_empty_outputs_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_runtime(write_spot_ir(tmp_path / "spots.xml")) as runtime:
        request = runtime._idle.get()  # type: ignore[attr-defined]
        empty = Empty(request.infer({0: np.zeros((1, 64, 64, 3), np.uint8)}))
        runtime._idle.put(empty)  # type: ignore[attr-defined]
        with pytest.raises(InputError, match=r"gives no output for this artifact on .*: use another runtime"):
            runtime.infer(np.zeros((1, 64, 64, 3), np.uint8))


class Empty:
    """An inference request whose outputs are empty."""

    def __init__(self, results: Any) -> None:
        self._results = {name: value[:0] for port, value in results.items() for name in port.names}

    def infer(self, inputs: Any, share_inputs: bool) -> Any:
        return self._results


def test_threads_are_the_cpu_s_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="threads has no effect on npu"):
        open_runtime(write_spot_ir(tmp_path / "spots.xml"), threads=2, device="npu")


def test_the_compiled_model_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path = write_spot_ir(tmp_path / "spots.xml")
    image = np.full((1, 64, 64, 3), 220, np.uint8)
    seen = []
    for _ in range(2):
        with open_runtime(path, threads=1) as runtime:
            seen.append((runtime._compiled.get_property("LOADED_FROM_CACHE"), runtime.infer(image)[0].tobytes()))  # type: ignore[attr-defined]
    assert [is_cached for is_cached, _ in seen] == [False, True]
    assert seen[0][1] == seen[1][1]
    (kept,) = (tmp_path / "tinydet" / "openvino").glob("*.blob")
    kept.chmod(0o600)
    kept.write_bytes(kept.read_bytes()[:1000])  # the power was cut while it was written
    with open_runtime(path, threads=1) as runtime:
        assert runtime.infer(image)[0].tobytes() == seen[0][1]


def test_another_model_of_that_name_is_compiled_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image = np.full((1, 64, 64, 3), 220, np.uint8)
    path = write_spot_ir(tmp_path / "spots.xml")
    with open_runtime(path) as runtime:
        assert runtime.infer(image)[0].max() == pytest.approx(2, abs=1e-3)
    weights = bytearray(path.with_suffix(".bin").read_bytes())
    at = weights.index(np.float32(0.1).tobytes())
    weights[at : at + 4] = np.float32(0.2).tobytes()
    before, after = (
        hashlib.sha256(content).hexdigest() for content in (path.with_suffix(".bin").read_bytes(), weights)
    )
    path.with_suffix(".bin").write_bytes(weights)
    path.write_text(path.read_text().replace(before, after))
    sum_ir(path)
    with open_runtime(path) as runtime:
        assert runtime.infer(image)[0].max() == pytest.approx(24, abs=1e-3)


def test_without_a_place_for_a_cache_it_runs_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with open_runtime(write_spot_ir(tmp_path / "spots.xml")) as runtime:
        assert runtime.infer(np.zeros((1, 64, 64, 3), np.uint8))


def test_a_missing_bin_is_named(tmp_path: Path) -> None:
    path = write_spot_ir(tmp_path / "spots.xml")
    path.with_suffix(".bin").unlink()
    with pytest.raises(InputError, match=r"spots\.bin does not exist: an IR is two files side by side"):
        open_runtime(path)


def test_a_truncated_bin_is_one_line(tmp_path: Path) -> None:
    path = write_spot_ir(tmp_path / "spots.xml")
    weights = path.with_suffix(".bin").read_bytes()
    path.with_suffix(".bin").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(InputError, match=r"spots\.(xml|bin)") as caught:
        open_runtime(path)
    assert "\n" not in str(caught.value)


def test_the_bin_of_another_model_is_refused(tmp_path: Path) -> None:
    path = write_spot_ir(tmp_path / "spots.xml")
    weights = bytearray(path.with_suffix(".bin").read_bytes())
    weights[-1] ^= 1
    path.with_suffix(".bin").write_bytes(weights)
    with pytest.raises(InputError, match=r"spots\.bin is not the one that spots\.xml was written with: export again"):
        open_runtime(path)


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
        open_runtime(write_spot_ir(tmp_path / "spots.xml", metadata_json=metadata_json))


def on_grid(x: openvino.Output | openvino.Node) -> openvino.Node:
    """Whole numbers from -128 to 127."""
    low, high = np.float32(-128), np.float32(127)
    return opset.fake_quantize(x, low, high, low, high, 256)


def test_the_inputs_of_an_addition_are_rounded() -> None:
    """Two convolutions and an addition of their input, as in a residual block; all numbers are exact in float32."""
    random = np.random.default_rng(0)
    weights = random.integers(-2, 3, (8, 8, 1, 1)).astype(np.int8)
    x = random.integers(-9, 10, (1, 8, 16, 16)).astype(np.float32)
    image = opset.parameter([1, 8, 16, 16], np.float32)
    quarters = opset.multiply(opset.convert(weights, np.float32), np.float32(0.25))
    start = last = on_grid(image)
    expected = x
    for _ in range(2):
        last = on_grid(opset.convolution(last, quarters, [1, 1], [0, 0], [0, 0], [1, 1]))
        expected = np.rint(np.einsum("oi,nihw->nohw", weights[:, :, 0, 0] / 4, expected)).clip(-128, 127)
    model = openvino.Model([opset.result(on_grid(opset.add(last, start)))], [image])
    expected = (expected + x).clip(-128, 127)

    def run() -> npt.NDArray[np.float32]:
        compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return np.asarray(compiled(x)[0])

    assert not np.array_equal(run(), expected), "OpenVINO rounds by itself: keep_rounding is no longer needed"
    keep_rounding(model)
    np.testing.assert_array_equal(run(), expected)
