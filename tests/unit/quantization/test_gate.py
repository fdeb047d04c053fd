"""The accuracy gate: its limits, and the classes and bands that count."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.evaluation.average_precision import METRIC_KEYS, Accuracy
from tinydet.quantization.gate import Gate


def dataset(**objects: int) -> Dataset:
    """A data set with the given number of 12 px objects of each class."""
    class_ids = np.repeat(np.arange(len(objects)), list(objects.values()))
    boxes = np.tile(np.array([[10, 10, 22, 22]], np.float32), (len(class_ids), 1))
    record = ImageRecord(
        image_id=1,
        path=Path("a.png"),
        width=640,
        height=640,
        boxes_xyxy_px=boxes,
        class_ids=class_ids,
        is_crowd=np.zeros(len(class_ids), bool),
    )
    return Dataset(path=Path("d"), format="COCO JSON", images=(record,), class_names=tuple(objects), notes=())


def accuracy(**aps: float) -> Accuracy:
    per_class = {name: dict.fromkeys(METRIC_KEYS, ap) for name, ap in aps.items()}
    return Accuracy(overall=dict.fromkeys(METRIC_KEYS, float(np.mean(list(aps.values())))), per_class=per_class)


@pytest.mark.parametrize(("int8", "passes"), [(0.490, True), (0.4899, False), (0.52, True)])
def test_a_point_is_allowed(int8: float, passes: bool) -> None:
    line = Gate(dataset(car=60)).compare(accuracy(car=0.5), accuracy(car=int8))[0]
    assert (line.name, line.objects, line.passes) == ("AP", 60, passes)


def test_a_band_may_lose_more_than_the_whole() -> None:
    lines = Gate(dataset(car=60)).compare(accuracy(car=0.5), accuracy(car=0.486))
    assert {line.name: line.passes for line in lines} == {"AP": False, "APt": True}  # other bands hold no object


def test_classes_with_few_objects_do_not_count() -> None:
    gate = Gate(dataset(car=60, bus=49))
    lines = gate.compare(accuracy(car=0.5, bus=0.5), accuracy(car=0.5, bus=0.1))
    assert gate.reliable
    assert all(line.passes and line.objects == 60 for line in lines)
    assert gate.mean_ap(accuracy(car=0.5, bus=0.1)) == 0.5


def test_all_classes_count_where_none_has_enough_objects() -> None:
    gate = Gate(dataset(car=30, bus=10))
    assert not gate.reliable
    (line,) = gate.compare(accuracy(car=0.5, bus=0.3), accuracy(car=0.5, bus=0.1))
    assert (line.name, line.objects, line.passes) == ("AP", 40, False)
    assert line.drop == pytest.approx(0.1)
