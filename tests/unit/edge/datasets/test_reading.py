"""What all formats share: an unknown layout says what was looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.edge.datasets.coco_files import write_coco
from tinydet.edge.datasets.reading import read_dataset, splits_of
from tinydet.edge.errors import InputError


def test_an_unknown_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path, split="train")
    message = str(caught.value)
    assert "is no data set that can be read: looked for" in message
    for part in ("annotations/train.json", "VisDrone2019-DET-train", ".yaml file", "Annotations/*.xml"):
        assert part in message
    assert "\n" not in message


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        read_dataset(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "split", "images"),
    [
        ("aitod_validation_v1", "val", "val/images"),  # AI-TOD
        ("aitodv2_train", "train", "train"),  # AI-TOD-v2
        ("instances_val2017", "val", "images/val"),  # COCO's own names
    ],
)
def test_published_names_of_coco_files(tmp_path: Path, name: str, split: str, images: str) -> None:
    write_coco(tmp_path, split=split)
    (tmp_path / "annotations" / f"{split}.json").rename(tmp_path / "annotations" / f"{name}.json")
    before = tmp_path / split
    (tmp_path / "moved").mkdir()
    before.rename(tmp_path / "moved" / "pictures")
    target = tmp_path / images
    target.parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "moved" / "pictures").rename(target)
    assert read_dataset(tmp_path, split=split).object_count == 2
    assert splits_of(tmp_path) == [split]


def test_two_files_for_one_split_have_to_be_told_apart(tmp_path: Path) -> None:
    write_coco(tmp_path, split="val")
    path = tmp_path / "annotations" / "val.json"
    for name in ("aitod_val_v1", "aitod_val_v2"):
        (tmp_path / "annotations" / f"{name}.json").write_bytes(path.read_bytes())
    assert read_dataset(tmp_path).path == path, "the plain name wins"
    path.unlink()
    with pytest.raises(InputError, match=r"several files for the split val: name one of aitod_val_v1.json"):
        read_dataset(tmp_path)
