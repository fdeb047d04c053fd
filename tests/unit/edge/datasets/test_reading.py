"""Finding a data set, recognizing its format, and folders without labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.unit.edge.datasets.coco_files import write_coco
from tests.unit.edge.datasets.test_visdrone import write_visdrone
from tests.unit.edge.datasets.test_voc import write_voc
from tests.unit.edge.datasets.test_yolo import write_yolo
from tinydet.edge.datasets.reading import find_dataset, read_dataset, read_images, splits_of
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image


def test_an_unknown_layout_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(InputError) as caught:
        read_dataset(tmp_path, split="train")
    message = str(caught.value)
    assert "is no data set that can be read: looked for" in message
    for part in ("annotations/train.json", "VisDrone2019-DET-train", ".yaml file", "Annotations/*.xml"):
        assert part in message
    assert "\n" not in message
    with pytest.raises(InputError, match=r"looked for .*; images$"):
        read_images(tmp_path)


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere does not exist"):
        read_dataset(tmp_path / "nowhere")


def write_images(folder: Path, count: int) -> None:
    for index in range(count):
        write_image(folder / f"{index}.png", np.full((30, 40, 3), index, np.uint8))


@pytest.mark.parametrize(("kind", "train_images"), [("coco", 2), ("visdrone", 2), ("yolo", 2), ("voc", 1)])
def test_read_images_reads_every_format_by_its_split(tmp_path: Path, kind: str, train_images: int) -> None:
    if kind == "coco":
        write_coco(tmp_path, split="train")
        write_coco(tmp_path, split="val")
    elif kind == "visdrone":
        write_visdrone(tmp_path, split="train")
        write_visdrone(tmp_path, split="val")
    else:
        (write_yolo if kind == "yolo" else write_voc)(tmp_path)
    assert splits_of(tmp_path) == ["train", "val"]
    for split in ("train", "val"):
        by_format, images = read_dataset(tmp_path, split=split), read_images(tmp_path, split=split)
        assert [record.path for record in images.images] == [record.path for record in by_format.images]
        assert (len(images.images), images.object_count > 0) == (train_images, True)
    with pytest.raises(InputError, match=r"has no split test \(splits there: train, val\)"):
        read_images(tmp_path, split="test")


def test_read_images_reads_a_folder_without_labels(tmp_path: Path) -> None:
    write_images(tmp_path / "flight 1", 3)
    write_images(tmp_path / "flight 2" / "part", 2)
    dataset = read_images(tmp_path)
    assert (len(dataset.images), dataset.object_count, dataset.format) == (5, 0, "images without labels")
    assert (dataset.images[0].width, dataset.images[0].height) == (40, 30)
    with pytest.raises(InputError, match="is no data set that can be read: looked for COCO"):
        read_dataset(tmp_path)


def test_of_a_folder_without_labels_the_subfolder_of_the_split_is_read(tmp_path: Path) -> None:
    write_images(tmp_path / "Train2017", 3)
    write_images(tmp_path / "val", 2)
    assert [len(read_images(tmp_path, split=split).images) for split in ("train", "val", "test")] == [3, 2, 5]


def test_an_image_without_a_header_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"cannot read image .*a\.jpg"):
        read_images(tmp_path)


@pytest.mark.parametrize("kind", ["coco", "visdrone", "yolo", "voc", "images"])
def test_litter_of_operating_systems_is_skipped(tmp_path: Path, kind: str) -> None:
    """macOS leaves `._NAME` beside each file on exFAT cards and in zip files."""
    if kind == "coco":
        write_coco(tmp_path, split="instances_val", images_in="val")
    elif kind == "images":
        write_images(tmp_path / "val", 2)
    else:
        writers: dict[str, Callable[[Path], Path]] = {"visdrone": write_visdrone, "yolo": write_yolo, "voc": write_voc}
        writers[kind](tmp_path)
    before = read_images(tmp_path)
    for path in [*tmp_path.rglob("*")]:
        if path.is_file():
            (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
            (path.parent / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
            (path.parent / "@eaDir").mkdir(exist_ok=True)
            (path.parent / "@eaDir" / path.name).write_bytes(b"thumbnail")
    after = read_images(tmp_path)
    assert [record.path for record in after.images] == [record.path for record in before.images]
    assert (after.object_count, after.notes) == (before.object_count, before.notes)


def test_datasets_are_also_found_beside_the_checkouts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_coco(tmp_path / "shared" / "data" / "flights")
    write_coco(tmp_path / "shared" / "data" / "aerial-vehicles")
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    dataset = read_dataset("datasets/flights")
    assert dataset.path == Path("../shared/data/flights/annotations/val.json")
    assert read_dataset("datasets/flights/annotations/val.json").object_count == 2
    write_coco(Path("datasets/flights"))
    assert read_dataset("datasets/flights").path == Path("datasets/flights/annotations/val.json")
    for missing in ("flights", "data/flights"):  # only below datasets/
        with pytest.raises(InputError, match=f"^data set {missing} does not exist: expected"):
            find_dataset(missing)
    with pytest.raises(InputError) as caught:
        splits_of("datasets/hit-uav/Annotations")
    assert str(caught.value) == (
        "data set datasets/hit-uav/Annotations does not exist, nor does ../shared/data/hit-uav/Annotations: "
        "get it with tinydet data fetch hit-uav"
    )
    with pytest.raises(InputError, match=r"get it with tinydet data fetch visdrone$"):
        find_dataset("datasets/VisDrone")
    with pytest.raises(InputError, match=r"nor does \.\./shared/data/others$"):
        find_dataset("datasets/others")
