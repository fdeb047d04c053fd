"""`tinydet inspect`: gradients, matched detections, and the picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.training.small_run import write_data
from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.detections import Detections
from tinydet.edge.files.images import read_image
from tinydet.training.checkpoint import save_detector
from tinydet.training.inspection import inspect, match_detections
from tinydet.training.model import build_detector, model_config

CLASSES = ("small-vehicle",)


@pytest.mark.parametrize("cem", [True, False])
def test_c5_learns_from_tiny_objects_only_through_cem(cem: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_detector(model_config("n", CLASSES, cem=cem)).eval()
    record = read_dataset(write_data(tmp_path / "data")).images[0]
    seen = inspect(model, read_image(record.path), record, input_px=128, class_ids=record.class_ids)
    assert set(seen.gradient_by_level) == {"C2", "C3", "C4", "C5"}
    assert sum(seen.gradient_by_level.values()) == pytest.approx(1)
    assert (seen.gradient_by_level["C5"] > 0) == cem
    # The object of 14x8 px is 18.7x10.7 px in the input: sqrt of the area 14.1, all of the gradient is tiny's.
    assert seen.gradient_by_band == {"very tiny": 0, "tiny": 1, "small": 0, "medium": 0}
    assert [mask.shape for mask in seen.masks] == [(32, 32), (16, 16), (8, 8)]
    assert all(mask.min() >= 0 and mask.max() <= 1 for mask in seen.masks)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_detections_that_do_not_count_are_left_out(tmp_path: Path) -> None:
    model = build_detector(model_config("n", CLASSES)).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("class_logits.bias"):
            torch.nn.init.constant_(parameter, 3.0)  # finds something everywhere
    record = read_dataset(write_data(tmp_path / "data")).images[0]
    left_half = np.array([[0, 0, 48, 96]], np.float32)
    for regions in (left_half[:0], left_half):
        truth = replace(record, ignored_xyxy_px=regions)
        seen = inspect(model, read_image(record.path), truth, input_px=64, class_ids=record.class_ids)
        centres = seen.detections.boxes_xyxy_px[:, ::2].mean(axis=1)
        assert len(centres) > 5
        assert (centres.min() < 40) == (len(regions) == 0)


def test_an_object_is_found_once_and_by_the_best_detection() -> None:
    truth = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float32)
    boxes = np.array([[20, 0, 30, 10], [0, 0, 10, 11], [0, 0, 10, 10], [24, 0, 34, 10], [21, 0, 31, 10]], np.float32)
    found = Detections(
        boxes_xyxy_px=boxes, scores=np.linspace(0.9, 0.5, 5, dtype=np.float32), class_ids=np.array([1, 0, 0, 0, 0])
    )
    class_ids = np.zeros(2, np.int64)
    right, seen = match_detections(found, truth, class_ids)
    assert right.tolist() == [False, True, False, False, True], "the first is of another class"
    assert seen.tolist() == [True, True]
    assert match_detections(Detections.empty(), truth, class_ids)[1].tolist() == [False, False]


def test_the_command_finds_the_ground_truth_around_the_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, checkpoint = write_data(tmp_path / "data"), tmp_path / "n.safetensors"
    save_detector(checkpoint, build_detector(model_config("n", CLASSES)), input_px=128, training={})
    out = tmp_path / "picture.png"
    assert main(["inspect", str(checkpoint), str(data / "val" / "2.png"), "--out", str(out)]) == 0
    text = " ".join(capsys.readouterr().err.split())
    assert "objects' gradient by backbone level" in text and "1 objects" in text
    assert min(read_image(out).shape[:2]) > 500
    alone = tmp_path / "alone.png"
    alone.write_bytes((data / "val" / "2.png").read_bytes())
    assert main(["inspect", str(checkpoint), str(alone), "--out", str(out)]) == 0
    assert "no ground truth found for this image" in " ".join(capsys.readouterr().err.split())
    assert main(["inspect", str(checkpoint), str(alone), "--data", str(data), "--out", str(out)]) == 2
    assert "does not contain" in " ".join(capsys.readouterr().err.split())
