"""Folders as YOLO tools write them: data.yaml, images/<split>, labels/<split>."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tinydet.edge.datasets.reading import read_dataset, splits_of
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image

YAML = """path: /where/it/was/made
train: images/train
val: images/val
test: # optional
names:
  0: car
  1: person
"""


def write_yolo(
    root: Path, *, description: str = YAML, labels: str = "0 0.5 0.25 0.2 0.1\n1 0.1 0.9 0.05 0.1\n"
) -> Path:
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for stem in ("a", "b"):
            write_image(root / "images" / split / f"{stem}.png", np.full((80, 200, 3), 50, np.uint8))
        (root / "labels" / split / "a.txt").write_text(labels)  # b has no label file: an image without objects
    (root / "data.yaml").write_text(description)
    return root


def test_counts_and_boxes_are_exact(tmp_path: Path) -> None:
    dataset = read_dataset(write_yolo(tmp_path))
    first, second = dataset.images
    assert (dataset.format, dataset.class_names, dataset.object_count) == ("YOLO", ("car", "person"), 2)
    np.testing.assert_allclose(first.boxes_xyxy_px, [[80, 16, 120, 24], [15, 68, 25, 76]], rtol=1e-6)
    assert (first.class_ids.tolist(), first.width, first.height) == ([0, 1], 200, 80)
    assert (first.path.name, len(second.class_ids), splits_of(tmp_path)) == ("a.png", 0, ["train", "val"])


@pytest.mark.parametrize(
    "description",
    [
        "val: images/val\nnames: [car, person]\n",
        "val: [images/val]\nnames: [car, person]\n",
        "path: .\nval: val.txt\nnames: [car, person]\n",
        "val: ../images/val\nnames: [car, person]\n",
    ],
)
def test_the_ways_a_split_is_named(tmp_path: Path, description: str) -> None:
    write_yolo(tmp_path, description=description)
    (tmp_path / "val.txt").write_text("./images/val/a.png\n./images/val/b.png\n")
    assert read_dataset(tmp_path).object_count == 2
    assert read_dataset(tmp_path / "data.yaml").object_count == 2


def test_a_polygon_becomes_the_box_around_it(tmp_path: Path) -> None:
    dataset = read_dataset(write_yolo(tmp_path, labels="1 0.1 0.1 0.3 0.1 0.2 0.5\n"))
    np.testing.assert_allclose(dataset.images[0].boxes_xyxy_px, [[20, 8, 60, 40]], rtol=1e-6)


KEYPOINTS = YAML + "kpt_shape: [4, 2]\n"


def test_keypoints_follow_the_box(tmp_path: Path) -> None:
    labels = "0 0.5 0.5 0.2 0.2 0.45 0.45 0.55 0.45 0.55 0.55 0.45 0.55\n1 0.1 0.9 0.05 0.1\n"
    write_yolo(tmp_path, description=KEYPOINTS, labels=labels)
    np.testing.assert_allclose(read_dataset(tmp_path).images[0].boxes_xyxy_px, [[80, 32, 120, 48], [15, 68, 25, 76]])
    (tmp_path / "data.yaml").write_text(YAML + "kpt_shape: [2, 3]\n")
    for path in (tmp_path / "labels" / "val").iterdir():
        path.write_text("0 0.5 0.5 0.2 0.2 0.45 0.45 2 0 0 0\n")
    np.testing.assert_allclose(read_dataset(tmp_path).images[0].boxes_xyxy_px, [[80, 32, 120, 48]])


def test_swapped_corners_and_doubles_are_put_right(tmp_path: Path) -> None:
    dataset = read_dataset(write_yolo(tmp_path, labels="0 0.5 0.25 -0.2 0.1\n" + 2 * "1 0.1 0.9 0.05 0.1\n"))
    np.testing.assert_allclose(dataset.images[0].boxes_xyxy_px, [[80, 16, 120, 24], [15, 68, 25, 76]], rtol=1e-6)
    assert [note.split(": ", 1)[1] for note in dataset.notes] == [
        "1 box listed twice: counted once",
        "1 box with swapped corners: put in order",
    ]


def test_a_split_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    write_yolo(tmp_path, description="val: [images/val, ./images/val]\nnames: [car, person]\n")
    dataset = read_dataset(tmp_path)
    assert (len(dataset.images), dataset.object_count) == (2, 2)
    assert dataset.notes[0].endswith("2 images listed twice: read once")


def test_text_files_of_windows(tmp_path: Path) -> None:
    write_yolo(tmp_path, description="val: val.txt\nnames: [car, person]\n")
    (tmp_path / "val.txt").write_text("images/val/a.png\r\nimages/val/b.png\r\n", encoding="utf-16")
    assert read_dataset(tmp_path).object_count == 2


def test_shares_count_on_the_upright_image(tmp_path: Path) -> None:
    """A camera in portrait stores a landscape image with an EXIF orientation."""
    write_yolo(tmp_path)
    path = tmp_path / "images" / "val" / "a.png"
    path.unlink()
    _, encoded = cv2.imencode(".jpg", np.full((80, 200, 3), 50, np.uint8))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    content = encoded.tobytes()
    turned = content[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + content[2:]
    path.with_suffix(".jpg").write_bytes(turned)
    first = read_dataset(tmp_path).images[0]
    assert (first.width, first.height) == (80, 200)


@pytest.mark.parametrize(
    ("description", "labels", "message"),
    [
        (YAML, "0 0.5 0.5 0.1\n", "expected `class x_centre y_centre width height` a line"),
        (YAML, "2 0.5 0.5 0.1 0.1\n", "class 2 is unknown, the names are numbered 0 to 1"),
        (YAML, "0 50 50 10 10\n", "coordinates are shares of the image between 0 and 1"),
        (YAML, "0 0.5 0.5 0.1 0.1 0.9 1\n", "looks like a tracker's result"),
        (KEYPOINTS, "0 0.1 0.1 0.3 0.1 0.2 0.5\n", "expected 5 columns, or 13 by `kpt_shape`, got 7"),
        (YAML + "kpt_shape: 17\n", "", "expected `kpt_shape`, the number of keypoints and 2 or 3, got 17"),
        (
            "val: images/val\nnames: {0: car, 2: person}\n",
            "",
            "a class number: expected a whole number, 0 to 1, got 2",
        ),
        ("val: images/test\nnames: [car]\n", "", "val is 'images/test', which does not exist"),
        ("val: labels/val\nnames: [car]\n", "", "the split val is empty"),
        ("val: [\n", "", "not valid YAML at line 2"),
        ("val: images/val\nnames: 5\n", "", "expected `names`, a list of class names .* got 5"),
        ("val: images/val\n", "", "expected `names`, a list of class names .* got None"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, description: str, labels: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_dataset(write_yolo(tmp_path, description=description, labels=labels) / "data.yaml")


def test_labels_that_lie_elsewhere_are_remarked(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "labels").rename(tmp_path / "elsewhere")
    (note,) = read_dataset(tmp_path).notes
    assert "no image of val has a label file (looked for" in note


def test_other_yaml_files_do_not_matter(tmp_path: Path) -> None:
    write_yolo(tmp_path)
    (tmp_path / "chart.yaml").write_text("{{ template }}\n---\na: [")
    assert read_dataset(tmp_path).object_count == 2


@pytest.mark.parametrize(("images", "labels"), [("images", "labels"), ("", "")])
def test_classes_in_a_text_file(tmp_path: Path, images: str, labels: str) -> None:
    """As Label Studio (`images`, `labels`) and LabelImg (all in one folder) write it."""
    write_image(tmp_path / images / "a.png", np.zeros((100, 200, 3), np.uint8))
    (tmp_path / labels).mkdir(exist_ok=True)
    (tmp_path / labels / "a.txt").write_text("1 0.5 0.5 0.1 0.2\n")
    (tmp_path / "classes.txt").write_text("car\nsmall van\n")
    (tmp_path / "notes.json").write_text('{"categories": []}')
    dataset = read_dataset(tmp_path)
    assert (dataset.class_names, dataset.notes) == (("car", "small van"), ())
    assert dataset.images[0].boxes_xyxy_px.tolist() == [[90, 40, 110, 60]]
    assert dataset.images[0].class_ids.tolist() == [1]
    assert splits_of(tmp_path) == splits_of(tmp_path / "classes.txt") == ["train"], "it has no splits"
