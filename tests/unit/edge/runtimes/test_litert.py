from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from tests.models import SPOT_METADATA, spot_metadata
from tests.tflite_models import INT8_METADATA, SpotModel, write_spot_tflite
from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.runtimes.opening import open_runtime
from tinydet.edge.runtimes.tflite_file import join

BOTH = pytest.mark.parametrize("metadata", [SPOT_METADATA, INT8_METADATA], ids=["fp32", "int8"])


@BOTH
def test_runs_and_names_its_runtime(
    tmp_path: Path, metadata: ArtifactMetadata, capfd: pytest.CaptureFixture[str]
) -> None:
    images = np.full((2, 64, 64, 3), 220, np.uint8)
    images[1] = 180
    with open_runtime(write_spot_tflite(tmp_path / "spots.tflite", metadata), threads=1) as runtime:
        assert runtime.metadata == metadata
        assert runtime.name == f"ai-edge-litert {version('ai-edge-litert')}"
        assert runtime.device == "CPU"
        assert runtime.provider in ("XNNPACK", "built-in kernels")
        outputs = runtime.infer(images)
    shapes = [(2, 16, 16, 1), (2, 16, 16, 4), (2, 8, 8, 1), (2, 8, 8, 4), (2, 4, 4, 1), (2, 4, 4, 4)]
    assert [output.shape for output in outputs] == shapes
    assert {output.dtype for output in outputs} == {np.dtype(np.float32)}
    np.testing.assert_allclose(outputs[0][0], 2, atol=1e-3)
    np.testing.assert_allclose(outputs[0][1], -2, atol=1e-3)
    np.testing.assert_allclose(outputs[1], 1, atol=1e-6)
    assert capfd.readouterr() == ("", "")


@BOTH
def test_every_grey_level_arrives(tmp_path: Path, metadata: ArtifactMetadata) -> None:
    """0 to 255 without an overflow, a swapped sign or a lost step, up to the rounding of the output's grid."""
    levels = np.arange(256, dtype=np.uint8)
    image = levels.reshape(16, 16).repeat(4, 0).repeat(4, 1)[None, :, :, None].repeat(3, 3)
    with open_runtime(write_spot_tflite(tmp_path / "spots.tflite", metadata), threads=1) as runtime:
        logits = runtime.infer(image)[0].ravel()
    expected = (levels.astype(np.float32) - 200) / 10
    if metadata.precision == "int8":
        expected = np.clip(expected, -16, 127 / 8)
        assert np.abs(logits - expected).max() <= 1 / 16 + 1e-6
    else:
        np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_model_that_the_interpreter_refuses_is_one_line(tmp_path: Path) -> None:
    model = SpotModel(SPOT_METADATA)
    model.graph.operators[0].inputs = [99]
    path = tmp_path / "spots.tflite"
    path.write_bytes(join(model.content(), SPOT_METADATA))
    with pytest.raises(InputError, match=r"cannot load .*spots\.tflite: ai-edge-litert .* refuses it") as caught:
        open_runtime(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("claimed", "message"),
    [
        (spot_metadata(input_hw=(128, 128)), r"promises one float32 image \[1, 128, 128, 3\] as input, the graph has"),
        (INT8_METADATA, r"promises one int8 image \[1, 64, 64, 3\] as input, the graph has float32"),
        (spot_metadata(precision="fp16"), "expected precision int8 or fp32, metadata says fp16"),
        (spot_metadata(strides=(4, 8)), "expected the outputs logits_p2, distances_p2, logits_p3, distances_p3, got"),
        (spot_metadata(strides=(4, 8, 32)), r"promises an output logits_p5 \(2, 2, 1\), the graph has"),
        (spot_metadata(class_names=("spot", "blob")), r"promises an output logits_p2 \(16, 16, 2\), the graph has"),
    ],
)
def test_contradictory_metadata_is_named(tmp_path: Path, claimed: ArtifactMetadata, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_runtime(write_spot_tflite(tmp_path / "spots.tflite", claimed=claimed))


def test_an_image_on_another_grid_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.tflite_models.IMAGE_GRID", (1 / 127, 0))
    with pytest.raises(InputError, match="expected an image on the grid"):
        open_runtime(write_spot_tflite(tmp_path / "spots.tflite", INT8_METADATA))


@pytest.fixture
def tflite_runtime(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`tinydet.edge.runtimes.litert` as it is where only tflite-runtime is installed."""
    pytest.importorskip("tflite_runtime", reason="needs tflite-runtime 2.14")
    sys.modules.pop("tinydet.edge.runtimes.litert", None)
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
        module = import_module("tinydet.edge.runtimes.litert")
    del sys.modules["tinydet.edge.runtimes.litert"]
    return module


@BOTH
def test_tflite_runtime_gives_the_same(tmp_path: Path, metadata: ArtifactMetadata, tflite_runtime: Any) -> None:
    if int(np.__version__.partition(".")[0]) >= 2:
        pytest.skip("tflite-runtime 2.14 needs numpy<2")
    path = write_spot_tflite(tmp_path / "spots.tflite", metadata)
    image = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    with tflite_runtime.LiteRuntime.open(path, threads=1) as runtime, open_runtime(path, threads=1) as litert:
        assert runtime.name == f"tflite-runtime {version('tflite-runtime')}"
        assert litert.name.startswith("ai-edge-litert")
        for got, want in zip(runtime.infer(image), litert.infer(image), strict=True):
            np.testing.assert_allclose(got, want, atol=1e-5)


def test_tflite_runtime_under_numpy_2_is_one_plain_message(
    tmp_path: Path, tflite_runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(np, "__version__", "2.0.0")
    with pytest.raises(InputError, match=r"tflite-runtime 2\.14\.0 needs numpy<2: pip install 'numpy<2'"):
        tflite_runtime.LiteRuntime.open(write_spot_tflite(tmp_path / "spots.tflite"), threads=1)
