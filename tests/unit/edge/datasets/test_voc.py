"""Folders as Pascal VOC lays them out: Annotations, JPEGImages, ImageSets/Main."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinydet.edge.datasets.reading import read_dataset, splits_of
from tinydet.edge.errors import InputError
from tinydet.edge.images import write_image


def entry(name: str, box: tuple[int, int, int, int], *, difficult: int = 0) -> str:
    sides = "".join(
        f"<{side}>{value}</{side}>" for side, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    )
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{sides}</bndbox></object>"


def write_voc(root: Path, *, objects: str | None = None) -> Path:
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    if objects is None:
        objects = entry("truck", (1, 1, 10, 20)) + entry("car", (31, 41, 50, 60), difficult=1)
    for stem, content in (("000001", objects), ("000002", entry("bus", (5, 5, 9, 9)))):
        write_image(root / "JPEGImages" / f"{stem}.jpg", np.full((80, 100, 3), 50, np.uint8))
        size = "<size><width>100</width><height>80</height><depth>3</depth></size>"
        xml = f"<annotation><filename>{stem}.jpg</filename>{size}{content}</annotation>"
        (root / "Annotations" / f"{stem}.xml").write_text(xml)
    (root / "ImageSets" / "Main" / "val.txt").write_text("000001\n")
    (root / "ImageSets" / "Main" / "train.txt").write_text("000002\n")
    return root


def test_counts_and_boxes_are_exact(tmp_path: Path) -> None:
    dataset = read_dataset(write_voc(tmp_path))
    (only,) = dataset.images
    assert (dataset.format, dataset.object_count, splits_of(tmp_path)) == ("Pascal VOC", 2, ["train", "val"])
    assert dataset.class_names == ("bus", "car", "truck"), "of the whole data set, so that its splits agree"
    assert only.boxes_xyxy_px.tolist() == [[0, 0, 10, 20], [30, 40, 50, 60]], "pixels are counted from 1"
    assert (only.class_ids.tolist(), only.is_crowd.tolist()) == ([2, 1], [False, True])
    assert read_dataset(tmp_path, split="train").class_names == dataset.class_names


def test_without_lists_every_image_counts(tmp_path: Path) -> None:
    write_voc(tmp_path)
    for path in (tmp_path / "ImageSets" / "Main").iterdir():
        path.unlink()
    (tmp_path / "ImageSets" / "Main").rmdir()
    assert len(read_dataset(tmp_path).images) == 2


@pytest.mark.parametrize(
    ("objects", "message"),
    [
        ("<object>", "000001.xml: broken XML"),
        ("<object><name>car</name></object>", "an object needs a name and a bndbox of four numbers"),
        ("<object><bndbox/></object>", "an object needs a name"),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, objects: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_dataset(write_voc(tmp_path, objects=objects))


def test_missing_parts_are_named(tmp_path: Path) -> None:
    write_voc(tmp_path)
    (tmp_path / "JPEGImages" / "000001.jpg").unlink()
    with pytest.raises(InputError, match="1 of 1 image files are missing, the first is 000001"):
        read_dataset(tmp_path)
    (tmp_path / "Annotations" / "000001.xml").unlink()
    with pytest.raises(InputError, match=r"000001 has no Annotations/000001.xml"):
        read_dataset(tmp_path)
