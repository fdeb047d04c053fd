"""COCO folders as its own and other tools write them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.edge.datasets.coco_files import coco, write_coco
from tinydet.edge.datasets.reading import read_dataset, read_images, splits_of
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image


def write(path: Path, content: Any = None, *, images: Path | None = None, level: int = 0) -> None:
    """The JSON file `path`, and its two images in `images`."""
    content = coco() if content is None else content
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    for image in content["images"] if images is not None else ():
        write_image(images / image["file_name"], np.full((48, 64, 3), level, np.uint8))


@pytest.mark.parametrize(
    ("name", "images", "splits"),
    [
        ("annotations/aitod_validation_v1.json", "val/images", ["val"]),  # AI-TOD
        ("annotations/aitodv2_train.json", "train", ["train"]),  # AI-TOD-v2
        ("annotations/instances_val2017.json", "val2017", ["val"]),  # COCO
        ("annotations/instances_val2017.json", "images/val2017", ["val"]),
        ("annotations/instances_val2017.json", "images/val", ["val"]),
        ("annotations/instances_val.json", "val2014", ["val"]),
        ("annotations/instances_Validation.json", "images/Validation", ["val"]),  # CVAT
        ("annotations/instances_Train.json", "images/train", ["train"]),
        ("annotations/instances_default.json", "images/default", ["train"]),
        ("annotations/instances_default.json", "images", ["train"]),
        ("Annotations/instances_test2017.json", "Images/Test2017", ["test"]),
        ("labels.json", "data", ["train"]),  # FiftyOne
        ("validation/labels.json", "validation/data", ["val"]),
        ("result.json", "images", ["train"]),  # Label Studio
        ("valid/_annotations.coco.json", "valid", ["val"]),  # Roboflow
        ("val.json", "images", ["val"]),
        ("labels/val.json", "val", None),  # found by the file only
    ],
)
def test_layouts_of_tools(tmp_path: Path, name: str, images: str, splits: list[str] | None) -> None:
    root = tmp_path / "data set"
    write(root / name, images=root / images)
    write(tmp_path / "elsewhere" / "val.json", images=tmp_path / "images", level=99)
    for data in [root / name] if splits is None else [root / name, root]:
        dataset = read_dataset(data, split=(splits or ["val"])[0])
        assert dataset.object_count == 2
        assert {record.path.parent for record in dataset.images} == {root / images}
    if splits is not None:
        assert splits_of(root) == splits


def test_a_split_is_read_from_its_own_folder(tmp_path: Path) -> None:
    """The splits' images have the same names, as where each is numbered from 1."""
    for split in ("train", "valid"):
        write(tmp_path / split / "_annotations.coco.json", images=tmp_path / split)
        write(tmp_path / "coco" / "annotations" / f"instances_{split}2017.json")
        write_coco(tmp_path / "coco" / "images", images_in=f"{split}2017")
    assert splits_of(tmp_path) == splits_of(tmp_path / "coco") == ["train", "val"]
    for root, folder in ((tmp_path, "valid"), (tmp_path / "coco", "images/valid2017")):
        assert read_dataset(root).images[0].path.parent == root / folder


def test_a_file_in_the_root_does_not_take_images_from_outside(tmp_path: Path) -> None:
    write(tmp_path / "set" / "labels.json", images=tmp_path / "images")
    (tmp_path / "set" / "data").mkdir()
    with pytest.raises(InputError, match="2 of 2 image files are missing"):
        read_dataset(tmp_path / "set")


def test_file_names_with_folders(tmp_path: Path) -> None:
    images = [image | {"file_name": f"images\\{image['file_name']}"} for image in coco()["images"]]
    write(tmp_path / "result.json", coco(images=images))
    for name in ("a.png", "b.png"):
        write_image(tmp_path / "images" / name, np.zeros((48, 64, 3), np.uint8))
    assert read_dataset(tmp_path).images[0].path == tmp_path / "images" / "a.png"


def test_images_in_two_places_are_refused_if_they_differ(tmp_path: Path) -> None:
    write(tmp_path / "labels.json", images=tmp_path / "images")
    shutil.copytree(tmp_path / "images", tmp_path / "data")
    assert read_dataset(tmp_path).object_count == 2, "copies are no doubt"
    write_image(tmp_path / "data" / "b.png", np.full((48, 64, 3), 9, np.uint8))
    with pytest.raises(InputError, match=r"b\.png may be .*/data/b\.png or .*/images/b\.png, which differ"):
        read_dataset(tmp_path)


def test_two_files_for_one_split_have_to_be_told_apart(tmp_path: Path) -> None:
    write_coco(tmp_path, split="val")
    path = tmp_path / "annotations" / "val.json"
    for name in ("aitod_val_v1", "aitod_val_v2"):
        (tmp_path / "annotations" / f"{name}.json").write_bytes(path.read_bytes())
    assert read_dataset(tmp_path).path == path, "the plain name wins"
    path.unlink()
    with pytest.raises(InputError, match=r"files for the split val: name one of annotations/aitod_val_v1\.json"):
        read_dataset(tmp_path)


def test_captions_and_keypoints_beside_the_instances(tmp_path: Path) -> None:
    write(tmp_path / "annotations" / "instances_val2017.json", images=tmp_path / "val2017")
    for task in ("captions", "person_keypoints"):
        write(tmp_path / "annotations" / f"{task}_val2017.json")
    assert read_dataset(tmp_path).path.name == "instances_val2017.json"


def test_other_json_files_are_no_data_sets(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((48, 64, 3), np.uint8))
    for name, content in (("notes", '{"categories": [{"id": 0}]}'), ("accuracy", '{"images": 24}'), ("empty", "")):
        (tmp_path / f"{name}.json").write_text(content)
    assert splits_of(tmp_path) == []
    assert len(read_images(tmp_path).images) == 1
