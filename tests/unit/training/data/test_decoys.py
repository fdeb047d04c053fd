"""Scenes with decoys: object patches do not tell vehicles from decoys, the surroundings do."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.reading import read_dataset
from tinydet.training.data.scenes import Scene, render_scene
from tinydet.training.data.scenes.decoys import CLEAR_M, make_decoy_plan, select
from tinydet.training.data.scenes.still_layers import draw_still_layers

SIZE_HW = (480, 480)
SCENES = 24

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
Cut = Callable[[npt.NDArray[np.uint8], npt.NDArray[np.float32]], Floats | None]
Classifier = Callable[[Floats, Labels, Floats], Labels]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render_scene(seed, SIZE_HW, decoys=True) for seed in range(SCENES)]


def test_there_are_about_as_many_decoys_as_vehicles(scenes: list[Scene]) -> None:
    counts = np.array([(len(scene.boxes_xyxy_px), len(scene.decoys_xyxy_px)) for scene in scenes])
    assert np.median(counts) >= 8
    assert np.abs(np.diff(counts)).max() <= 1  # a sliver at the border may be too small for a box
    assert all((scene.class_ids == 0).all() for scene in scenes)


def test_vehicles_and_decoys_have_the_same_sizes(scenes: list[Scene]) -> None:
    vehicles, decoys = (
        np.concatenate([boxes[:, 2:] - boxes[:, :2] for boxes in group])
        for group in ([scene.boxes_xyxy_px for scene in scenes], [scene.decoys_xyxy_px for scene in scenes])
    )
    for share in (0.1, 0.5, 0.9):
        np.testing.assert_allclose(np.quantile(vehicles, share), np.quantile(decoys, share), rtol=0.08)


@pytest.mark.parametrize("name", ["linear", "nearest"])
def test_the_own_pixels_of_an_object_do_not_tell(scenes: list[Scene], name: str) -> None:
    assert _balanced_accuracy(scenes, _own_pixels, CLASSIFIERS[name]) <= 0.60


def test_a_view_of_two_lengths_hardly_tells(scenes: list[Scene]) -> None:
    assert _balanced_accuracy(scenes, lambda image, box: _rings(image, box, 2), _linear) <= 0.68


@pytest.mark.parametrize("lengths", [5, 8])
def test_the_surroundings_tell(scenes: list[Scene], lengths: int) -> None:
    assert _balanced_accuracy(scenes, lambda image, box: _rings(image, box, lengths), _linear) >= 0.80


def test_every_speck_stands_free_and_in_the_sun() -> None:
    plan = make_decoy_plan(3, SIZE_HW)
    to_px = plan.to_px(SIZE_HW)
    layers = draw_still_layers(plan, SIZE_HW, to_px)
    chosen = select(plan, layers, to_px)
    assert sum(actor.is_decoy for actor in chosen) * 2 == len(chosen) > 0
    spots_m = np.stack([actor.xy_m for actor in chosen])
    apart_m = np.hypot(*(spots_m[:, None] - spots_m[None]).transpose(2, 0, 1))
    assert apart_m[~np.eye(len(chosen), dtype=bool)].min() > CLEAR_M
    x, y = (to_px[:, :2] @ spots_m.T + to_px[:, 2:]).astype(int)
    assert layers.sun[y, x].min() > 0.9
    assert layers.cover[y, x].max() < 0.05


def test_the_command_writes_decoys_as_background(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["data", "render", "--images", "2", "--size", "320", "--seed", "4", "--decoys", "--out"]
    assert main([*arguments, str(tmp_path / "a")]) == 0
    assert main([*arguments, str(tmp_path / "b")]) == 0
    for file in ("annotations/val.json", "val/scene_00000.jpg", "val/scene_00001.jpg"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    content = json.loads((tmp_path / "a" / "annotations" / "val.json").read_text())
    assert content["info"]["decoys"] is True
    assert content["info"]["seed"] == 4
    dataset = read_dataset(tmp_path / "a")
    assert dataset.class_names == ("small-vehicle",)
    decoys = [box for image in content["images"] for box in image["decoys"]]
    assert 0 < dataset.object_count == len(content["annotations"])
    assert abs(len(decoys) - dataset.object_count) <= 2
    assert not {tuple(box) for box in decoys} & {tuple(entry["bbox"]) for entry in content["annotations"]}
    assert main([*arguments, str(tmp_path / "c"), "--clip", "2"]) == 2
    assert "leave --clip out" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_without_decoys_the_json_has_no_further_fields(tmp_path: Path) -> None:
    assert main(["data", "render", "--images", "1", "--size", "64", "--out", str(tmp_path)]) == 0
    content = json.loads((tmp_path / "annotations" / "val.json").read_text())
    assert set(content) == {"images", "annotations", "categories"}
    assert set(content["images"][0]) == {"id", "file_name", "width", "height", "sequence"}


def _cut(
    image: npt.NDArray[np.uint8], box: npt.NDArray[np.float32], half_wh: Floats, side: int
) -> npt.NDArray[np.float32] | None:
    """Cut a view of half width and height around the middle of a box, as (side, side, 3); None outside the picture."""
    middle = (box[:2] + box[2:]).astype(np.float64) / 2
    x0, y0, x1, y1 = np.rint(np.concatenate([middle - half_wh, middle + half_wh])).astype(int)
    if x0 < 0 or y0 < 0 or x1 > image.shape[1] or y1 > image.shape[0]:
        return None
    patch = np.ascontiguousarray(image[y0:y1, x0:x1])
    return np.asarray(cv2.resize(patch, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _own_pixels(image: npt.NDArray[np.uint8], box: npt.NDArray[np.float32]) -> Floats | None:
    """The box and one pixel around it, (192,)."""
    patch = _cut(image, box, (box[2:] - box[:2]).astype(np.float64) / 2 + 1, 8)
    return None if patch is None else np.asarray(patch.ravel(), np.float64)


def _rings(image: npt.NDArray[np.uint8], box: npt.NDArray[np.float32], lengths: float) -> Floats | None:
    """Means and deviations of colour and gradient in four square rings of a view of `lengths` longer sides, (32,)."""
    patch = _cut(image, box, np.full(2, float((box[2:] - box[:2]).max()) * lengths / 2), 32)
    if patch is None:
        return None
    grey = patch.mean(axis=2)
    gradient = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    values = np.dstack([patch, gradient])
    reach = np.abs(np.arange(32) + 0.5 - 16) / 16
    ring = (np.maximum(reach[:, None], reach[None]) * 4).astype(int)
    return np.array([[*values[ring == i].mean(axis=0), *values[ring == i].std(axis=0)] for i in range(4)]).ravel()


def _linear(known: Floats, labels: Labels, asked: Floats) -> Labels:
    """Ridge regression on the labels."""
    known, asked = (np.column_stack([values, np.ones(len(values))]) for values in (known, asked))
    ridge = 0.01 * len(known) * np.eye(known.shape[1])
    weights = np.linalg.solve(known.T @ known + ridge, known.T @ np.where(labels, 1.0, -1.0))
    return np.asarray(asked @ weights > 0)


def _nearest(known: Floats, labels: Labels, asked: Floats) -> Labels:
    """Majority of the nine nearest."""
    distances = (asked**2).sum(1)[:, None] + (known**2).sum(1)[None] - 2 * asked @ known.T
    return np.asarray(labels[np.argsort(distances, axis=1)[:, :9]].mean(axis=1) > 0.5)


CLASSIFIERS: dict[str, Classifier] = {"linear": _linear, "nearest": _nearest}


def _balanced_accuracy(scenes: list[Scene], cut: Cut, classify: Classifier) -> float:
    """Learn from every second scene, ask about the others; the mean share that is right of vehicles and of decoys."""
    rows = [
        (features, is_vehicle, number % 2 == 0)
        for number, scene in enumerate(scenes)
        for is_vehicle, boxes in ((True, scene.boxes_xyxy_px), (False, scene.decoys_xyxy_px))
        for box in boxes
        if (features := cut(scene.image_rgb, box)) is not None
    ]
    values = np.array([features for features, _, _ in rows])
    labels, is_known = np.array([row[1] for row in rows]), np.array([row[2] for row in rows])
    values = (values - values[is_known].mean(axis=0)) / (values[is_known].std(axis=0) + 1e-6)
    assert min(labels[~is_known].sum(), (~labels[~is_known]).sum()) >= 60
    guess = classify(values[is_known], labels[is_known], values[~is_known])
    truth = labels[~is_known]
    return float((guess[truth].mean() + (~guess[~truth]).mean()) / 2)
