"""Files as DOTA publishes them: eight corners, a category and `difficult` a line, after two lines on the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinydet.edge.datasets.reading import read_dataset, splits_of
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image

HEAD = "imagesource:GoogleEarth\ngsd:null\n"
LINES = "10.0 20.0 30.0 10.0 40.0 30.0 20.0 40.0 small-vehicle 0\n100 50 140 50 140 200 100 200 ship 1\n"


def write_dota(root: Path, *, lines: str = LINES, labels: str = "labelTxt") -> Path:
    for split, text in (("train", "1 1 9 1 9 9 1 9 plane 0\n"), ("val", lines)):
        write_image(root / split / "images" / "P0003.png", np.zeros((100, 160, 3), np.uint8))
        (root / split / labels).mkdir()
        (root / split / labels / "P0003.txt").write_text(HEAD + text)
    return root


@pytest.mark.parametrize("labels", ["labelTxt", "labelTxt-v1.0"])
def test_oriented_boxes_become_upright_ones(tmp_path: Path, labels: str) -> None:
    dataset = read_dataset(write_dota(tmp_path, labels=labels))
    (image,) = dataset.images
    assert dataset.class_names == ("plane", "ship", "small-vehicle"), "those of all splits"
    assert image.boxes_xyxy_px.tolist() == [[10, 10, 40, 40], [100, 50, 140, 100]]
    assert (image.class_ids.tolist(), image.is_crowd.tolist()) == ([2, 1], [False, True])
    assert splits_of(tmp_path) == ["train", "val"]
    assert read_dataset(tmp_path / "val").object_count == 2
    assert [note.split(": ", 1)[1] for note in dataset.notes] == ["1 box reaching outside the image: clipped"]


@pytest.mark.parametrize(
    "line",
    [
        "10 20 30 10 40 30 20 small-vehicle 0",
        "10 20 30 10 40 30 20 40",
        "10 20 30 10 40 30 20 nan ship 0",
        "10 20 30 10 40 30 20 1e300 ship 0",
        "10 20 30 10 40 30 20 40 ship 0 0",
        "10 20 30 10 40 30 20 40 ship maybe",
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(InputError, match=r"P0003\.txt: "):
        read_dataset(write_dota(tmp_path, lines=line + "\n"))


def test_labels_need_their_image_and_one_version(tmp_path: Path) -> None:
    folder = write_dota(tmp_path) / "val"
    (folder / "images" / "P0003.png").rename(folder / "images" / "P0004.png")
    with pytest.raises(InputError, match="1 of 1 image files are missing, the first is P0003"):
        read_dataset(tmp_path)
    (folder / "labelTxt-v1.5").mkdir()
    (folder / "labelTxt-v1.5" / "P0004.txt").write_text(LINES)
    with pytest.raises(InputError, match=r"several versions of its labels: keep one of labelTxt, labelTxt-v1\.5"):
        read_dataset(tmp_path)


def test_two_images_of_one_label_file_and_a_folder_without_labels_are_refused(tmp_path: Path) -> None:
    folder = write_dota(tmp_path) / "val"
    write_image(folder / "images" / "P0003.jpg", np.zeros((100, 160, 3), np.uint8))
    with pytest.raises(InputError, match=r"has the labels of .*: rename one of them"):
        read_dataset(tmp_path)
    (folder / "images" / "P0003.jpg").unlink()
    (folder / "labelTxt" / "P0003.txt").unlink()
    with pytest.raises(InputError, match="holds no labels"):
        read_dataset(tmp_path)
