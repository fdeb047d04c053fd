"""Folders as Pascal VOC lays them out: Annotations, JPEGImages, ImageSets/Main."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinydet.edge.datasets.reading import read_dataset, splits_of
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image


def entry(name: str, box: tuple[int, int, int, int], *, difficult: int | str = 0) -> str:
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
        (
            entry("car", (1, 1, 5, 5), difficult="perhaps"),
            "1.jpg: difficult: expected true or false, got 'perhaps'",
        ),
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


def test_difficult_may_be_a_word(tmp_path: Path) -> None:
    words = ["True", "False", "yes", "no", " 1 ", ""]
    objects = "".join(entry("car", (1 + i, 1, 10 + i, 9), difficult=word) for i, word in enumerate(words))
    record = read_dataset(write_voc(tmp_path, objects=objects)).images[0]
    assert record.is_crowd.tolist() == [True, False, True, False, True, False]


def test_swapped_corners_and_doubles_are_put_right(tmp_path: Path) -> None:
    dataset = read_dataset(write_voc(tmp_path, objects=entry("car", (50, 41, 31, 60)) * 2))
    assert dataset.images[0].boxes_xyxy_px.tolist() == [[30, 40, 50, 60]]
    assert [note.split(": ", 1)[1] for note in dataset.notes] == [
        "1 box listed twice: counted once",
        "2 boxes with swapped corners: put in order",
    ]


@pytest.mark.parametrize(
    ("stem", "line"),
    [
        ("DJI 0001", "DJI 0001"),
        ("DJI 0001", "DJI 0001  1"),
        ("DJI 0001", "DJI 0001.jpg"),
        ("frame.1", "frame.1"),
        ("frame.1", "JPEGImages/frame.1.jpg"),
        ("000001", "000001 -1"),
        ("000001", "000001.xml"),
    ],
)
def test_lists_with_spaces_and_extensions(tmp_path: Path, stem: str, line: str) -> None:
    write_voc(tmp_path)
    (tmp_path / "Annotations" / "000001.xml").rename(tmp_path / "Annotations" / f"{stem}.xml")
    (tmp_path / "JPEGImages" / "000001.jpg").rename(tmp_path / "JPEGImages" / f"{stem}.jpg")
    (tmp_path / "ImageSets" / "Main" / "val.txt").write_text(f"{line}\n{line}\n")
    dataset = read_dataset(tmp_path)
    assert [record.path.stem for record in dataset.images] == [stem]
    assert dataset.notes == (f"{tmp_path}: 1 image listed twice: read once",)


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [("gb2312", "gb2312"), ("gb2312", "gbk"), ("utf8", "utf-8"), ("UTF-8", "utf-8-sig"), ("UTF-16", "utf-16")],
)
def test_encodings(tmp_path: Path, declared: str, encoding: str) -> None:
    write_voc(tmp_path)
    path = tmp_path / "Annotations" / "000001.xml"
    name = "汽車" if encoding == "gbk" else "汽车"  # the first has a character that gb2312 lacks
    text = path.read_text().replace("truck", name)
    path.write_bytes(f"<?xml version='1.0' encoding='{declared}'?>{text}".encode(encoding))
    assert name in read_dataset(tmp_path).class_names


@pytest.mark.parametrize(
    ("declared", "message"),
    [("utf-8", "its bytes are not 'utf-8'"), ("klingon", "unknown encoding 'klingon'")],
)
def test_wrong_encodings_are_one_line(tmp_path: Path, declared: str, message: str) -> None:
    write_voc(tmp_path)
    path = tmp_path / "Annotations" / "000001.xml"
    text = path.read_text().replace("truck", "汽车")
    path.write_bytes(f"<?xml version='1.0' encoding='{declared}'?>{text}".encode("gb2312"))
    with pytest.raises(InputError, match=rf"000001\.xml: {message}"):
        read_dataset(tmp_path)
