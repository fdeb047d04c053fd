"""What is timed: the bundled detector at 640 px, and a full-HD frame with a hundred objects."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tinydet.edge.commands.cli import main
from tinydet.edge.detection.letterbox import Letterboxed, letterbox
from tinydet.edge.files.images import write_image
from tinydet.training.data.scenes import render_scene

INPUT_PX = 640
STRIDES = (4, 8, 16)
CLASSES = 3
OBJECTS = 100


@dataclass(frozen=True, kw_only=True)
class Artifacts:
    floats: Path
    int8: Path


def export(folder: Path, form: str, *, ending: str = "", floats: str = "fp32") -> Artifacts:
    """The bundled `n` as a user exports it, calibrated by one scene."""
    write_image(folder / "calibration" / "scene.png", render_scene(0).image_rgb)
    options: dict[str, list[str]] = {floats: [], "int8": ["--calibration", str(folder / "calibration")]}
    for precision, more in options.items():
        assert not main(["export", "n", "--format", form, "--precision", precision, *more, "--out", str(folder)])
    return Artifacts(
        floats=folder / f"n-{INPUT_PX}px-{floats}.{ending or form}",
        int8=folder / f"n-{INPUT_PX}px-int8.{ending or form}",
    )


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return export(tmp_path_factory.mktemp("onnx"), "onnx")


@pytest.fixture(scope="session")
def openvino_artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    """The float one has float16 weights and computes in float32, as ONNX Runtime's does."""
    return export(tmp_path_factory.mktemp("openvino"), "openvino", ending="xml", floats="fp16")


@pytest.fixture(scope="session")
def tflite_artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    pytest.importorskip("litert_torch")
    return export(tmp_path_factory.mktemp("tflite"), "tflite")


@pytest.fixture(scope="session")
def frame_rgb() -> npt.NDArray[np.uint8]:
    """(1080, 1920, 3)."""
    noise = np.random.default_rng(0).integers(0, 256, (270, 480, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (1920, 1080), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.fixture(scope="session")
def letterboxed(frame_rgb: npt.NDArray[np.uint8]) -> Letterboxed:
    return letterbox(frame_rgb, (INPUT_PX, INPUT_PX))


@pytest.fixture(scope="session")
def raw_outputs() -> list[npt.NDArray[np.float32]]:
    """What a detector says of a frame with 100 objects of 6 to 16 px.

    Every object is seen by 3x3 cells of P2 and one of P3, most of them above the default threshold; the other cells say
    no with a spread that is wide for a trained network.
    """
    random = np.random.default_rng(0)
    outputs = []
    for stride in STRIDES:
        side = INPUT_PX // stride
        outputs.append(random.normal(-6, 1, (1, side, side, CLASSES)).astype(np.float32))
        outputs.append(np.ones((1, side, side, 4), np.float32))
    for _ in range(OBJECTS):
        centre_px, size_px = random.uniform(20, INPUT_PX - 20, 2), random.uniform(6, 16, 2)
        class_id = int(random.integers(CLASSES))
        for level, reach in ((0, 1), (1, 0)):
            stride = STRIDES[level]
            column, row = (centre_px / stride).astype(int)
            for y in range(row - reach, row + reach + 1):
                for x in range(column - reach, column + reach + 1):
                    cell_px = (np.array([x, y]) + 0.5) * stride
                    sides_px = np.concatenate([cell_px - centre_px + size_px / 2, centre_px + size_px / 2 - cell_px])
                    outputs[2 * level][0, y, x, class_id] = random.normal(1, 1)
                    outputs[2 * level + 1][0, y, x] = sides_px / stride + random.normal(0, 0.1, 4)
    return outputs
