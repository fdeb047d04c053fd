"""Files as VisDrone-DET publishes them: `VisDrone2019-DET-val/{images,annotations}`, eight numbers a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinydet.edge.datasets.reading import read_dataset, splits_of
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import VISDRONE, measure_accuracy
from tinydet.edge.files.images import write_image

# Published files end some lines with a comma. A car and a pedestrian; an ignored region with a car three quarters
# inside; `others`; a car that the benchmark does not count (score 0); a car reaching out of the image.
LINES = """10,20,30,15,1,4,0,0
60,20,6,14,1,1,0,1,
100,50,40,40,0,0,0,0
95,60,20,20,1,4,0,0
10,70,10,10,0,11,0,0
40,70,12,10,0,4,0,2
150,90,30,20,1,4,1,0
"""


def write_visdrone(root: Path, *, split: str = "val", lines: str = LINES) -> Path:
    folder = root / f"VisDrone2019-DET-{split}"
    for name in ("images", "annotations"):
        (folder / name).mkdir(parents=True)
    for stem in ("0000001_00000_d_0000001", "0000002_00005_d_0000014"):
        write_image(folder / "images" / f"{stem}.jpg", np.full((100, 160, 3), 90, np.uint8))
        (folder / "annotations" / f"{stem}.txt").write_text(lines if stem.startswith("0000001") else "")
    return folder


def test_counts_and_boxes_are_exact(tmp_path: Path) -> None:
    write_visdrone(tmp_path)
    dataset = read_dataset(tmp_path, split="val")
    first, second = dataset.images
    assert (dataset.format, len(dataset.class_names), dataset.object_count) == ("VisDrone-DET", 10, 4)
    assert first.boxes_xyxy_px.tolist() == [[10, 20, 40, 35], [60, 20, 66, 34], [40, 70, 52, 80], [150, 90, 160, 100]]
    assert [dataset.class_names[i] for i in first.class_ids] == ["car", "pedestrian", "car", "car"]
    assert first.is_crowd.tolist() == [False, False, True, False]
    assert first.ignored_xyxy_px.tolist() == [[100, 50, 140, 90]]
    assert (first.width, first.height, first.sequence, len(second.class_ids)) == (160, 100, "0000001", 0)
    assert [note.split(": ", 1)[1] for note in dataset.notes] == [
        "1 box mostly inside ignored regions: left out, as in the benchmark",
        "1 box of the class `others`: left out, as in the benchmark",
        "1 box reaching outside the image: clipped",
    ]


def test_a_detection_in_an_ignored_region_is_neither_right_nor_wrong(tmp_path: Path) -> None:
    dataset = read_dataset(write_visdrone(tmp_path))
    car = dataset.class_names.index("car")

    def score(*boxes: list[float]) -> float:
        found = Detections(
            boxes_xyxy_px=np.array(boxes, np.float32),
            scores=np.linspace(0.9, 0.5, len(boxes), dtype=np.float32),
            class_ids=np.full(len(boxes), car, np.int64),
        )
        accuracy = measure_accuracy(dataset, [found, Detections.empty()], protocol=VISDRONE)
        value = accuracy.per_class["car"]["AP"]
        assert value is not None
        return value

    cars = [[10.0, 20, 40, 35], [150.0, 90, 160, 100]]
    assert score(*cars) == pytest.approx(1)
    assert score([110, 60, 130, 80], *cars) == pytest.approx(1), "wholly inside"
    assert score([90, 60, 110, 80], *cars) == pytest.approx(1), "half inside"
    assert score([88, 60, 108, 80], *cars) < 0.8, "less than half inside: a mistake"
    assert score([40, 70, 52, 80], *cars) == pytest.approx(1), "an object that does not count"
    assert score([10, 70, 20, 80], *cars) < 0.8, "`others` is no car"


def test_a_split_is_found_by_the_names_of_its_folder(tmp_path: Path) -> None:
    write_visdrone(tmp_path, split="train")
    write_visdrone(tmp_path, split="val")
    assert splits_of(tmp_path) == ["train", "val"]
    assert splits_of(tmp_path / "VisDrone2019-DET-val") == ["val"]
    assert read_dataset(tmp_path, split="train").path.name == "VisDrone2019-DET-train"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1,2,3,4,1,4", "expected 8 numbers a line .* got '1,2,3,4,1,4'"),
        ("1,2,x,4,1,4,0,0", "expected 8 numbers a line"),
        ("1,2,3,4,1,12,0,0", "category 12 is unknown, expected 0 to 11"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, lines: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_dataset(write_visdrone(tmp_path, lines=lines))


def test_labels_without_their_image_are_reported(tmp_path: Path) -> None:
    folder = write_visdrone(tmp_path)
    (folder / "images" / "0000001_00000_d_0000001.jpg").unlink()
    with pytest.raises(InputError, match=r"1 of 2 image files are missing, the first is 0000001_00000_d_0000001.jpg"):
        read_dataset(folder)
