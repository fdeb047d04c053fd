"""The bundled `n`: as good as its card says, and as good in INT8."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edge.accuracy import BANDS_PX
from edge.cli import main
from edge.dataset import Dataset, read_dataset
from edge.detector import Detector
from edge.evaluation import evaluate
from training.checkpoint import load_detector
from training.data.scenes import write_dataset
from training.weights import n_path

MAX_DROP, MAX_BAND_DROP = 0.010, 0.015
MIN_BAND_OBJECTS = 50  # the AP of fewer objects moves by more than the limit when a single one is lost


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes the weights were not trained on: 32 to calibrate with, 24 to test on."""
    folder = tmp_path_factory.mktemp("scenes")
    write_dataset(folder, images=32, seed=7001, size_hw=(640, 640), split="train")
    write_dataset(folder, images=24, seed=7002, size_hw=(640, 640), split="val")
    return folder


def export(out: Path, *options: str) -> Path:
    assert not main(["export", "n", "--out", str(out), *options])
    (path,) = out.glob("*.onnx")
    return path


def measure(model: Path, dataset: Dataset) -> dict[str, Any]:
    detector = Detector(model, threads=2)
    try:
        return evaluate(detector, dataset).as_dict()
    finally:
        detector.runtime.close()


def band_counts(dataset: Dataset) -> Mapping[str, int]:
    sizes = [
        size
        for image in dataset.images
        for size in ((image.boxes_xyxy_px[:, 2:] - image.boxes_xyxy_px[:, :2]).prod(1) ** 0.5).tolist()
    ]
    return {name: sum(low <= size < high for size in sizes) for name, (low, high) in BANDS_PX.items()}


def check_int8_keeps_it(fp32: dict[str, Any], int8: dict[str, Any], dataset: Dataset) -> None:
    assert fp32["AP"] - int8["AP"] <= MAX_DROP
    for name, count in band_counts(dataset).items():
        if count >= MIN_BAND_OBJECTS:
            assert fp32[name] - int8[name] <= MAX_BAND_DROP, name


def test_photographs_are_detected_as_the_checkpoint_says(aerial_vehicles_tiny: Path) -> None:
    recorded = load_detector(n_path()).training["val"]
    measured = measure(n_path(), read_dataset(aerial_vehicles_tiny))
    for name in ("AP", "AP50", "APt", "APs"):
        assert measured[name] == pytest.approx(recorded[name], abs=0.003)
    assert measured["per_class"]["small-vehicle"]["AP"] >= 0.45
    assert measured["per_class"]["small-vehicle"]["AP50"] >= 0.90


def test_int8_keeps_what_fp32_finds_in_photographs(aerial_vehicles_tiny: Path, tmp_path: Path) -> None:
    dataset = read_dataset(aerial_vehicles_tiny)
    fp32 = measure(export(tmp_path / "fp32", "--precision", "fp32"), dataset)
    int8 = measure(
        export(tmp_path / "int8", "--precision", "int8", "--calibration", str(aerial_vehicles_tiny)), dataset
    )
    check_int8_keeps_it(fp32, int8, dataset)


def test_int8_keeps_what_fp32_finds_in_scenes(scenes: Path, tmp_path: Path) -> None:
    dataset = read_dataset(scenes)
    fp32 = measure(export(tmp_path / "fp32", "--precision", "fp32"), dataset)
    int8 = measure(export(tmp_path / "int8", "--precision", "int8", "--calibration", str(scenes)), dataset)
    assert fp32["AP50"] >= 0.5
    check_int8_keeps_it(fp32, int8, dataset)
