from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.unit.edge.datasets.coco_files import annotation, coco, write_coco
from tinydet.edge.datasets.classes import keep_classes, map_classes
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import measure_accuracy

CATEGORIES = [{"id": index, "name": name} for index, name in enumerate(("car", "DontCare", "van", "truck"), 1)]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A car, a DontCare, a van, and a truck half inside the DontCare."""
    annotations = [
        annotation(category_id=1, bbox=[2, 2, 10, 8], track_id=5),
        annotation(category_id=2, bbox=[30, 10, 20, 20], track_id=6),
        annotation(category_id=3, bbox=[2, 20, 10, 8], track_id=7),
        annotation(category_id=4, bbox=[25, 12, 10, 8], track_id=8),
    ]
    return read_dataset(write_coco(tmp_path, coco(categories=CATEGORIES, annotations=annotations)))


def test_keeping_classes_renumbers_the_others(dataset: Dataset) -> None:
    kept = keep_classes(dataset, ["truck", "car", "bus"])
    first, second = kept.images
    assert (kept.class_names, first.class_ids.tolist(), len(second.class_ids)) == (("car", "truck"), [0, 1], 0)
    assert first.boxes_xyxy_px.tolist() == [[2, 2, 12, 10], [25, 12, 35, 20]]
    assert (first.ignored_xyxy_px.shape, first.is_crowd.tolist()) == ((0, 4), [False, False])
    assert first.track_ids is not None
    assert first.track_ids.tolist() == [5, 8]


def test_classes_are_merged_and_renamed(dataset: Dataset) -> None:
    mapped = map_classes(dataset, map={"van": "car", "truck": "lorry"})
    assert mapped.class_names == ("car", "DontCare", "lorry")
    assert mapped.images[0].class_ids.tolist() == [0, 1, 0, 2]
    assert map_classes(dataset, map={"car": "van", "van": "car"}).class_names == ("van", "DontCare", "car", "truck")
    assert map_classes(dataset, map={"car": "vehicle", "van": "vehicle"}).images[0].class_ids.tolist() == [0, 1, 0, 2]


def test_ignored_classes_become_ignored_regions(dataset: Dataset) -> None:
    mapped = map_classes(dataset, map={"van": "car"}, ignore=["DontCare"])
    first = mapped.images[0]
    assert (mapped.class_names, first.class_ids.tolist()) == (("car", "truck"), [0, 0, 1])
    assert first.ignored_xyxy_px.tolist() == [[30, 10, 50, 30]]
    assert first.is_crowd.tolist() == [False, False, True], "the truck lies by half in an ignored region"
    assert first.track_ids is not None
    assert first.track_ids.tolist() == [5, 7, 8]


def test_in_an_ignored_region_a_detection_is_neither_right_nor_wrong(dataset: Dataset) -> None:
    mapped = map_classes(dataset, ignore=["DontCare"])
    boxes = np.array([[32, 12, 48, 28], [2, 2, 12, 10], [2, 20, 12, 28]], np.float32)
    found = Detections(boxes_xyxy_px=boxes, scores=np.array([0.9, 0.8, 0.7], np.float32), class_ids=np.array([0, 0, 1]))
    assert measure_accuracy(mapped, [found, Detections.empty()]).overall["AP"] == 1
    without = keep_classes(dataset, ["car", "van", "truck"])
    assert (measure_accuracy(without, [found, Detections.empty()]).overall["AP"] or 0) < 1


@pytest.mark.parametrize(
    ("map", "ignore", "message"),
    [
        ({"vans": "car"}, [], "has no class 'vans': did you mean 'van'?"),
        ({}, ["Dontcare"], "has no class 'Dontcare': did you mean 'DontCare'?"),
        ({}, ["xyz"], "has no class 'xyz': it has 'car', 'DontCare', 'van', 'truck'"),
        ({"van": "car"}, ["van"], "class 'van' is both mapped to 'car' and ignored"),
    ],
)
def test_wrong_names_are_refused(dataset: Dataset, map: dict[str, str], ignore: list[str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        map_classes(dataset, map=map, ignore=ignore)
    assert message in str(caught.value)
