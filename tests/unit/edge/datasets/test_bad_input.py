"""Data sets from strangers and from broken disks: refused in one line, whatever their format."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.edge.datasets.coco_files import annotation, coco, write_coco
from tests.unit.edge.datasets.test_dota import write_dota
from tests.unit.edge.datasets.test_visdrone import write_visdrone
from tests.unit.edge.datasets.test_visdrone_video import write_video
from tests.unit.edge.datasets.test_voc import write_voc
from tests.unit.edge.datasets.test_yolo import YAML, write_yolo
from tinydet.edge.datasets.ignored_regions import mostly_inside
from tinydet.edge.datasets.reading import read_dataset, read_images
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image
from tinydet.edge.files.printable import is_printable

DIGITS, DEEP = "1" * 5000, "[" * 100_000 + "]" * 100_000
UNPRINTABLE = ["", " ", "red \x1b[31m", "a\nb", "a\0b", "\ud800", "\u202eabc", "x" * 201]


def refusal(path: Path, split: str = "val") -> str:
    with pytest.raises(InputError) as caught:
        read_dataset(path, split=split)
    message = str(caught.value)
    assert is_printable(message)
    assert len(message) < 1000
    return message


def coco_with(tmp_path: Path, field: str, text: str) -> Path:
    """A COCO file whose `field` has `text` as it stands for a value."""
    path = write_coco(tmp_path, coco(annotations=[annotation(**{field: "@"})]))
    path.write_text(path.read_text().replace('"@"', text))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "/etc/passwd",
        "../../etc/passwd",
        "..\\..\\x.png",
        "C:\\x.png",
        "a\0b.png",
        "x" * 300 + ".png",
        "",
        ".",
        "\ud800/../../../x",
    ],
)
def test_names_of_coco_stay_in_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "data").mkdir()
    content = coco()
    path = write_coco(tmp_path / "data", content)
    content["images"][0]["file_name"] = name
    path.write_text(json.dumps(content))
    assert "the file name" in refusal(path)


def test_names_of_coco_may_start_at_the_annotations_or_be_absolute_inside(tmp_path: Path) -> None:
    content = coco()
    path = write_coco(tmp_path, content)
    for name in ("../val/a.png", str(tmp_path / "val" / "a.png")):
        content["images"][0]["file_name"] = name
        path.write_text(json.dumps(content))
        assert read_dataset(path).images[0].path == tmp_path / "val" / "a.png"


@pytest.mark.parametrize(
    "text", [DIGITS, DEEP, "NaN", "1e999", str(10**30), str(2**63), "[]", '"x"', "1.5", "true", "null"]
)
@pytest.mark.parametrize("field", ["image_id", "category_id"])
def test_ids_are_whole_numbers(tmp_path: Path, field: str, text: str) -> None:
    refusal(coco_with(tmp_path, field, text))


@pytest.mark.parametrize(
    "text", [f"[{DIGITS}, 1, 2, 3]", "[1e300, 1, 1e300, 3]", "[1, 2, true, 3]", DEEP, f"[{2**62}, 1, 2, 3]"]
)
def test_boxes_are_pixels(tmp_path: Path, text: str) -> None:
    refusal(coco_with(tmp_path, "bbox", text))


@pytest.mark.parametrize("side", [0, -1, 10**9, 2**40, "wide", None])
def test_sizes_are_those_of_images(tmp_path: Path, side: Any) -> None:
    content = coco()
    path = write_coco(tmp_path, content)
    content["images"][0]["width"] = side
    path.write_text(json.dumps(content))
    assert "a.png: " in refusal(path)


@pytest.mark.parametrize("name", UNPRINTABLE)
def test_class_names_are_printable(tmp_path: Path, name: str) -> None:
    content = coco(categories=[{"id": 3, "name": name}, {"id": 7, "name": "b"}])
    assert "printable characters" in refusal(write_coco(tmp_path / "coco", content))
    yaml = f"val: images/val\nnames: [{json.dumps(name)}, b]\n"
    refusal(write_yolo(tmp_path / "yolo", description=yaml))


@pytest.mark.parametrize(
    "names", ["[5, b]", "[null, b]", "{0: car, b: c}", "{0: car, 2024-01-01: c}", "{0: car, 1: 5}", DEEP, "{}"]
)
def test_names_in_yaml_are_text_by_number(tmp_path: Path, names: str) -> None:
    refusal(write_yolo(tmp_path, description=f"val: images/val\nnames: {names}\n") / "data.yaml")


@pytest.mark.parametrize("line", ["/etc/passwd", "../../../etc/passwd", "{outside}", "a\0b"])
def test_lists_of_yolo_stay_in_the_folder(tmp_path: Path, line: str) -> None:
    outside = tmp_path / "outside.png"
    write_image(outside, np.zeros((8, 8, 3), np.uint8))
    data = write_yolo(tmp_path / "data", description="path: .\nval: val.txt\nnames: [car, person]\n")
    (data / "val.txt").write_text(line.format(outside=outside) + "\n")
    refusal(data)


def test_lists_of_yolo_may_be_absolute_inside_and_the_yaml_may_lead_anywhere(tmp_path: Path) -> None:
    data = write_yolo(tmp_path / "data")
    elsewhere = tmp_path / "config"
    elsewhere.mkdir()
    (elsewhere / "data.yaml").write_text(f"path: {data}\nval: val.txt\nnames: [car, person]\n")
    (data / "val.txt").write_text(f"{data}/images/val/a.png\n./images/val/a.png\nimages/../images/val/b.png\n")
    dataset = read_dataset(elsewhere / "data.yaml")
    assert (len(dataset.images), dataset.object_count) == (2, 2)
    assert any("1 image listed twice" in note for note in dataset.notes)


def test_a_broken_yaml_is_named(tmp_path: Path) -> None:
    assert "data.yaml: not valid YAML" in refusal(write_yolo(tmp_path, description="names: &x [*x]\n"))


def test_labels_without_an_image_are_counted(tmp_path: Path) -> None:
    (write_yolo(tmp_path) / "images" / "val" / "a.png").unlink()
    (tmp_path / "labels" / "val" / "classes.txt").write_text("car\n")
    assert "1 label file without an image" in read_dataset(tmp_path).notes[0]


def pipe(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def loop(path: Path) -> None:
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("make", [pipe, device, loop, folder])
@pytest.mark.parametrize(
    ("write", "file"),
    [
        (write_coco, "annotations/val.json"),
        (write_coco, "val/a.png"),
        (write_yolo, "data.yaml"),
        (write_yolo, "labels/val/a.txt"),
        (write_yolo, "images/val/a.png"),
        (write_voc, "Annotations/000001.xml"),
        (write_voc, "JPEGImages/000001.jpg"),
        (write_visdrone, "VisDrone2019-DET-val/annotations/0000001_00000_d_0000001.txt"),
        (write_video, "VisDrone2019-VID-val/annotations/uav0000086_00000_v.txt"),
        (write_video, "VisDrone2019-VID-val/sequences/uav0000086_00000_v/0000002.jpg"),
        (write_dota, "val/labelTxt/P0003.txt"),
        (write_dota, "val/images/P0003.png"),
    ],
)
def test_what_is_no_regular_file_is_refused(
    tmp_path: Path, write: Callable[[Path], Path], file: str, make: Callable[[Path], None]
) -> None:
    write(tmp_path)
    path = tmp_path / file
    path.unlink()
    make(path)
    refusal(tmp_path)


def test_a_pipe_among_pictures_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((8, 8, 3), np.uint8))
    os.mkfifo(tmp_path / "b.png")
    with pytest.raises(InputError, match=r"b\.png: expected a file, got a named pipe"):
        read_images(tmp_path)


@pytest.mark.parametrize(
    "line", ["٣ 0.5 0.5 0.1 0.1", "0 0.5 0.5 0.1 0_1", f"0 0.5 0.5 0.1 {DIGITS}", "0 nan 0.5 0.1 0.1", "0 -9 0 1 1"]
)
def test_lines_of_yolo_are_plain_numbers(tmp_path: Path, line: str) -> None:
    refusal(write_yolo(tmp_path, labels=line + "\n"))


@pytest.mark.parametrize(
    "points",
    [
        "0.45 0.45 0.55 0.45 0.55 0.55 0.45 0.55",
        "0.45 0.45 2 0.55 0.45 1 0 0 0 0.45 0.55 2",
        "0.45 0.45 0 0 0.55 0.55 0.5 0.5",
    ],
)
def test_keypoints_without_a_shape_are_refused(tmp_path: Path, points: str) -> None:
    assert "`kpt_shape`" in refusal(write_yolo(tmp_path, labels=f"0 0.5 0.5 0.2 0.2 {points}\n"))


def test_tiny_and_large_polygons_are_no_keypoints(tmp_path: Path) -> None:
    tiny = "0 0.5 0.5 0.51 0.5 0.51 0.51 0.5 0.51\n"
    large = "1 0.1 0.1 0.9 0.1 0.9 0.9 0.1 0.9\n"
    dataset = read_dataset(write_yolo(tmp_path, description=YAML, labels=tiny + large))
    expected = np.array([[100, 40, 102, 40.8], [20, 8, 180, 72]], np.float32)
    np.testing.assert_allclose(dataset.images[0].boxes_xyxy_px, expected, rtol=1e-5)


@pytest.mark.parametrize(
    "xml",
    [
        "<html/>",
        "<annotation>" + "<a>" * 1000 + "</a>" * 1000 + "</annotation>",
        '<?xml version="1.0" encoding="hex"?><annotation/>',
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>',
        "<annotation><object><name>a\u202eb</name></object></annotation>",
    ],
)
def test_bad_xml_is_one_line(tmp_path: Path, xml: str) -> None:
    (write_voc(tmp_path) / "Annotations" / "000001.xml").write_text(xml)
    refusal(tmp_path)


@pytest.mark.parametrize("split", ["", "..", "a/b", "x" * 300, "\x1b[31m", "a\0b"])
def test_splits_are_names(tmp_path: Path, split: str) -> None:
    refusal(write_yolo(tmp_path), split)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "\ud800"])
def test_names_that_no_file_can_have_do_not_exist(name: str) -> None:
    assert "does not exist" in refusal(Path(name))


@pytest.mark.parametrize(
    "region", [[-50, 10, -10, 60], [10, -50, 60, -10], [-50, -50, -1, -1], [200, 10, 300, 60], [10, 200, 60, 300]]
)
def test_regions_outside_the_image_cover_nothing(region: list[float]) -> None:
    boxes = np.array([[0, 0, 10, 10], [40, 40, 60, 60], [90, 90, 100, 100]], np.float32)
    inside = mostly_inside(boxes, np.array([region], np.float32), width=100, height=100)
    assert not inside.any()
