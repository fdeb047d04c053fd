from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.detections import Detections
from tinydet.edge.evaluation.average_precision import (
    BANDS_PX,
    METRIC_KEYS,
    PROTOCOLS,
    TINYPERSON,
    VISDRONE,
    measure_accuracy,
)

Boxes = Sequence[Sequence[float]]


def detections(boxes: Boxes, scores: Sequence[float], class_ids: Sequence[int] | None = None) -> Detections:
    return Detections(
        boxes_xyxy_px=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        class_ids=np.array(class_ids if class_ids is not None else [0] * len(scores), np.int64),
    )


def dataset(*images: tuple[Boxes, Sequence[int]], classes: int = 1, crowds: Sequence[int] = ()) -> Dataset:
    """One record an image from (boxes, class ids); `crowds` are positions in the first image."""
    records = []
    for index, (boxes, class_ids) in enumerate(images):
        is_crowd = np.zeros(len(class_ids), bool)
        is_crowd[[position for position in crowds if index == 0]] = True
        records.append(
            ImageRecord(
                image_id=100 - index,
                path=Path(f"{index}.png"),
                width=200,
                height=200,
                boxes_xyxy_px=np.array(boxes, np.float32).reshape(-1, 4),
                class_ids=np.array(class_ids, np.int64),
                is_crowd=is_crowd,
            )
        )
    names = tuple(f"class-{index}" for index in range(classes))
    return Dataset(format="made up", path=Path("val.json"), images=tuple(records), class_names=names, notes=())


def test_perfect_detections_score_one_in_every_band_that_holds_objects() -> None:
    boxes = [[0, 0, 5, 5], [20, 20, 32, 32], [50, 50, 70, 70]]
    truth = dataset((boxes, [0, 0, 1]), classes=3)
    accuracy = measure_accuracy(truth, [detections(boxes, [0.9, 0.8, 0.7], [0, 0, 1])])
    assert accuracy.overall == {"AP": 1, "AP50": 1, "AP75": 1, "APvt": 1, "APt": 1, "APs": 1, "APm": None}
    assert accuracy.per_class["class-1"]["APvt"] is None
    assert set(accuracy.per_class["class-2"].values()) == {None}
    assert list(accuracy.as_dict()) == [*METRIC_KEYS, "per_class"]


def test_a_case_counted_by_hand() -> None:
    """Ranked: hit, miss, hit of 2 objects. Precision 1 up to recall 1/2, then 2/3: AP = (51 + 50 x 2/3) / 101."""
    truth = dataset(([[0, 0, 10, 10], [50, 50, 60, 60]], [0, 0]))
    found = detections([[0, 0, 10, 10], [100, 100, 110, 110], [50, 50, 60, 60]], [0.9, 0.8, 0.7])
    accuracy = measure_accuracy(truth, [found])
    assert accuracy.overall["AP"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_ap_is_the_mean_over_iou_thresholds() -> None:
    """IoU 10 / 14 = 0.714: found at 0.50 to 0.70, five thresholds of ten."""
    truth = dataset(([[0, 0, 10, 10]], [0]))
    accuracy = measure_accuracy(truth, [detections([[0, 0, 14, 10]], [0.9])])
    assert accuracy.overall["AP"] == pytest.approx(0.5)
    assert (accuracy.overall["AP50"], accuracy.overall["AP75"]) == (1, 0)


def test_visdrone_counts_the_best_five_hundred_and_has_cocos_bands() -> None:
    truth = dataset(([[0, 0, 40, 40]], [0]))
    wrong = [[100, 100, 140, 140]] * 499
    scores = np.linspace(0.9, 0.6, 499).tolist()
    last_of_500 = detections([*wrong, [0, 0, 40, 40]], [*scores, 0.5])
    one_too_late = detections([*wrong, [150, 150, 160, 160], [0, 0, 40, 40]], [*scores, 0.55, 0.5])
    accuracy = measure_accuracy(truth, [last_of_500], protocol=VISDRONE).overall
    assert list(accuracy) == ["AP", "AP50", "AP75", "APs", "APm", "APl"]
    assert accuracy["APm"] == accuracy["AP"] == pytest.approx(1 / 500)
    assert (accuracy["APs"], accuracy["APl"]) == (None, None)
    assert measure_accuracy(truth, [one_too_late], protocol=VISDRONE).overall["AP"] == 0


def test_tinyperson_scores_single_thresholds_by_size() -> None:
    """A person of 10 px found at IoU 1/3, one of 5 px found exactly, one of 25 px missed."""
    truth = dataset(([[0, 0, 10, 10], [50, 50, 55, 55], [100, 100, 125, 125]], [0, 0, 0]))
    found = detections([[5, 0, 15, 10], [50, 50, 55, 55]], [0.9, 0.8])
    accuracy = measure_accuracy(truth, [found], protocol=TINYPERSON).overall
    assert accuracy["AP25tiny"] == 1
    assert accuracy["AP50tiny1"] == 1
    assert (accuracy["AP50tiny2"], accuracy["AP50tiny3"], accuracy["AP50small"]) == (0, None, 0)
    # Of the two tiny ones, ranked miss then hit: precision 1/2 up to recall 1/2.
    assert accuracy["AP50tiny"] == pytest.approx(51 / 101 / 2)
    # The overall AP is COCO's: it does not know the threshold 0.25. A third is found, behind one mistake.
    assert accuracy["AP"] == accuracy["AP50"] == pytest.approx(34 / 101 / 2)


def test_the_default_protocol_comes_first() -> None:
    assert next(iter(PROTOCOLS.values())).metrics.keys() == set(METRIC_KEYS)


def test_bands_go_by_the_root_of_the_area() -> None:
    """A 4x25 box is 10 px in size: tiny, though one side is far below 8."""
    truth = dataset(([[0, 0, 4, 25]], [0]))
    accuracy = measure_accuracy(truth, [detections([[0, 0, 4, 25]], [0.9])])
    assert {key for key in BANDS_PX if accuracy.overall[key] is not None} == {"APt"}


def test_more_than_a_hundred_objects_are_found() -> None:
    boxes = [[x, y, x + 5, y + 5] for x in range(0, 200, 8) for y in range(0, 200, 8)]
    truth = dataset((boxes, [0] * len(boxes)))
    accuracy = measure_accuracy(truth, [detections(boxes, np.linspace(1, 0.1, len(boxes)).tolist())])
    assert len(boxes) == 625
    assert accuracy.overall["AP"] == 1


def test_crowds_neither_reward_nor_punish() -> None:
    truth = dataset(([[0, 0, 100, 100], [150, 150, 160, 160]], [0, 0]), crowds=[0])
    found = detections([[10, 10, 20, 20], [30, 30, 40, 40], [150, 150, 160, 160]], [0.9, 0.8, 0.7])
    assert measure_accuracy(truth, [found]).overall["AP"] == 1


def test_nothing_found_is_zero_and_nothing_to_find_is_none() -> None:
    truth = dataset(([[0, 0, 10, 10]], [0]), ([], []))
    assert measure_accuracy(truth, [Detections.empty()] * 2).overall["AP"] == 0
    empty = dataset(([], []), classes=2)
    accuracy = measure_accuracy(empty, [detections([[0, 0, 5, 5]], [0.5])])
    assert set(accuracy.overall.values()) == {None}
    assert list(accuracy.per_class) == ["class-0", "class-1"]


def test_detections_must_be_those_of_the_images() -> None:
    with pytest.raises(ValueError, match="expected detections for 1 images, got 2"):
        measure_accuracy(dataset(([], [])), [Detections.empty()] * 2)


def test_says_nothing_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    measure_accuracy(dataset(([[0, 0, 10, 10]], [0])), [detections([[0, 0, 10, 10]], [0.9])])
    assert capfd.readouterr() == ("", "")


def random_case(seed: int) -> tuple[Dataset, list[Detections]]:
    """Three images with two classes, objects of all bands, and detections that are shifted, missing or made up."""
    random = np.random.default_rng(seed)
    images, found = [], []
    for _ in range(3):
        count = int(random.integers(5, 25))
        centre, size = random.uniform(20, 180, (count, 2)), random.choice([5, 11, 24, 45], count)[:, None]
        size = size * random.uniform(0.8, 1.2, (count, 2))
        boxes = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        class_ids = random.integers(0, 2, count)
        images.append((boxes.tolist(), class_ids.tolist()))
        shifted = boxes + random.normal(0, 1, boxes.shape) * size.repeat(2, axis=1) * 0.08
        kept = random.random(count) < 0.8
        made_up = random.permutation(boxes)[: count // 2] + random.uniform(-15, 15, (count // 2, 4))
        made_up = np.concatenate(
            [np.minimum(made_up[:, :2], made_up[:, 2:]), np.maximum(made_up[:, :2], made_up[:, 2:])], 1
        )
        everything = np.concatenate([shifted[kept], made_up])
        classes = np.concatenate([class_ids[kept], random.integers(0, 2, len(made_up))])
        found.append(detections(everything.tolist(), random.random(len(everything)).tolist(), classes.tolist()))
    return dataset(*images, classes=2), found


def reference_ap(
    truth: Dataset, found: list[Detections], class_id: int, band_px: tuple[float, float], threshold: float
) -> float | None:
    """AP of one class, band and IoU threshold, written from COCO's description: greedy matching by score."""
    low, high = band_px[0] ** 2, band_px[1] ** 2
    ranked: list[tuple[float, bool]] = []
    to_find = 0
    for image, detected in zip(truth.images, found, strict=True):
        boxes = image.boxes_xyxy_px[image.class_ids == class_id].astype(np.float64)
        ignored = np.array([not low <= area(box) <= high for box in boxes], bool)
        to_find += int((~ignored).sum())
        taken = np.zeros(len(boxes), bool)
        mine = detected.select(detected.class_ids == class_id)
        mine = mine.select(np.argsort(-mine.scores, kind="stable"))
        for box, score in zip(mine.boxes_xyxy_px.astype(np.float64), mine.scores.tolist(), strict=True):
            best, best_iou = -1, threshold
            for pass_ignored in (False, True):
                for candidate in np.flatnonzero((ignored == pass_ignored) & ~taken):
                    overlap = iou(box, boxes[candidate])
                    if (overlap >= best_iou and best < 0) or overlap > best_iou:
                        best, best_iou = int(candidate), overlap
                if best >= 0:
                    break
            if best >= 0:
                taken[best] = True
                if not ignored[best]:
                    ranked.append((score, True))
            elif low <= area(box) <= high:
                ranked.append((score, False))
    if not to_find:
        return None
    hits = np.array([hit for _, hit in sorted(ranked, key=lambda pair: -pair[0])], bool)
    true_positives = np.cumsum(hits)
    recall = true_positives / to_find
    precision = true_positives / np.arange(1, len(hits) + 1)
    levels = [precision[recall >= level].max(initial=0) for level in np.linspace(0, 1, 101)]
    return float(np.mean(levels))


def area(box: npt.NDArray[np.float64]) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def iou(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    overlap = max(width, 0) * max(height, 0)
    return float(overlap / (area(a) + area(b) - overlap))


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_an_independent_implementation(seed: int) -> None:
    truth, found = random_case(seed)
    accuracy = measure_accuracy(truth, found)
    thresholds = np.linspace(0.5, 0.95, 10).tolist()
    bands = {"AP": (0.0, 1e5), **BANDS_PX}
    for class_id, name in enumerate(truth.class_names):
        for key, band_px in bands.items():
            per_threshold = [reference_ap(truth, found, class_id, band_px, threshold) for threshold in thresholds]
            known = [value for value in per_threshold if value is not None]
            expected = None if not known else pytest.approx(np.mean(known), abs=1e-6)
            assert accuracy.per_class[name][key] == expected, (name, key)
    assert measure_accuracy(truth, found) == accuracy, "the same again"
