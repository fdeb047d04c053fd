from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest

from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image
from tinydet.quantization.calibration import find_calibration_images


def write_images(folder: Path, names: list[str]) -> Path:
    for index, name in enumerate(names):
        write_image(folder / name, np.full((20, 30, 3), index, np.uint8))
    return folder


def test_images_of_a_folder_in_the_order_of_their_names(tmp_path: Path) -> None:
    write_images(tmp_path, ["b.png", "a.png", "c.JPG"])
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    found = find_calibration_images(tmp_path)
    assert [path.name for path in found.paths] == ["a.png", "b.png", "c.JPG"]
    assert found.as_metadata() == {"count": 3, "sha256": found.sha256, "images": ["a.png", "b.png", "c.JPG"]}


def test_a_data_set_gives_its_train_split(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write_images(tmp_path / split, [f"{split}-{index}.png" for index in range(3)])
        images = [
            {"id": index, "file_name": f"{split}-{index}.png", "width": 30, "height": 20} for index in range(1, 3)
        ]
        content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "car"}]}
        (tmp_path / "annotations").mkdir(exist_ok=True)
        (tmp_path / "annotations" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    found = find_calibration_images(tmp_path)
    assert [path.name for path in found.paths] == ["train-1.png", "train-2.png"]  # those the JSON lists


def test_a_yolo_data_set_gives_its_train_split(tmp_path: Path) -> None:
    for folder in ("train", "val"):
        write_images(tmp_path / "images" / folder, [f"{folder}.png"])
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [car]\n", encoding="utf-8")
    for data in (tmp_path, tmp_path / "data.yaml", tmp_path / "images"):
        assert [path.name for path in find_calibration_images(data).paths] == ["train.png"]


def test_of_many_images_evenly_spaced_ones_are_taken(tmp_path: Path) -> None:
    write_images(tmp_path, [f"{index:02}.png" for index in range(10)])
    found = find_calibration_images(tmp_path, limit=4)
    assert [path.stem for path in found.paths] == ["00", "02", "05", "07"]


def test_the_hash_follows_content_and_not_place(tmp_path: Path) -> None:
    names = ["a.png", "b.png"]
    first = find_calibration_images(write_images(tmp_path / "first", names))
    second = find_calibration_images(write_images(tmp_path / "second", names))
    assert first.sha256 == second.sha256
    write_image(tmp_path / "second" / "b.png", np.full((20, 30, 3), 77, np.uint8))
    assert find_calibration_images(tmp_path / "second").sha256 != first.sha256


def test_images_come_letterboxed(tmp_path: Path) -> None:
    image = np.full((20, 40, 3), 200, np.uint8)
    write_image(tmp_path / "wide.png", image)
    (letterboxed,) = find_calibration_images(tmp_path).letterboxed((64, 64))
    assert letterboxed.shape == (64, 64, 3)
    assert set(letterboxed[:16].flat) == {114}
    assert set(letterboxed[16:48].flat) == {200}


def test_few_images_are_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_images(tmp_path, ["a.png"])
    with caplog.at_level(logging.WARNING):
        find_calibration_images(tmp_path)
    assert "calibrating on 1 images only: 8 or more" in caplog.text


def test_enough_images_are_not_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_images(tmp_path, [f"{index}.png" for index in range(8)])
    find_calibration_images(tmp_path)
    assert not caplog.records


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no data set that can be read: looked for COCO .*; images$"):
        find_calibration_images(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist: expected a data set's folder or file, or a folder of images"):
        find_calibration_images(tmp_path / "nowhere")


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    write_images(tmp_path, ["a.png", "b.png"])
    (tmp_path / "b.png").write_bytes((tmp_path / "b.png").read_bytes()[:40])
    with pytest.raises(InputError, match=r"b\.png"):
        list(find_calibration_images(tmp_path).letterboxed((64, 64)))
