from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.edge.datasets.coco_files import annotation, coco, write_coco
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.errors import InputError


def test_reads_boxes_classes_crowds_and_sequences(tmp_path: Path) -> None:
    dataset = read_dataset(write_coco(tmp_path))
    first, second = dataset.images
    assert dataset.class_names == ("car", "truck"), "in the order of the category ids"
    assert first.boxes_xyxy_px.tolist() == [[10, 20, 14, 28], [0, 0, 20, 10]]
    assert (first.class_ids.tolist(), first.is_crowd.tolist()) == ([0, 1], [False, True])
    assert (first.image_id, first.width, first.height, first.sequence) == (10, 64, 48, "flight-1")
    assert (second.boxes_xyxy_px.shape, second.sequence) == ((0, 4), None)
    assert (dataset.notes, dataset.object_count) == ((), 2)


@pytest.mark.parametrize("images_in", ["val", "annotations", "images"])
def test_finds_the_images_where_data_sets_keep_them(tmp_path: Path, images_in: str) -> None:
    write_coco(tmp_path, images_in=images_in)
    assert read_dataset(tmp_path).images[0].path.read_bytes()


def test_a_folder_is_read_by_split(tmp_path: Path) -> None:
    write_coco(tmp_path, split="train")
    assert read_dataset(tmp_path, split="train").path.name == "train.json"
    with pytest.raises(InputError, match=r"has no split val \(splits there: train\)"):
        read_dataset(tmp_path)


def test_boxes_outside_or_of_zero_size_are_clipped_or_dropped_and_counted(tmp_path: Path) -> None:
    boxes = [[-5, -5, 10, 10], [60, 40, 100, 100], [10, 10, 0, 5], [70, 10, 5, 5], [1, 1, 5, -2], [1, 1, 63.001, 5]]
    annotations = [annotation(id=index, bbox=box) for index, box in enumerate(boxes)]
    dataset = read_dataset(write_coco(tmp_path, coco(annotations=annotations)))
    assert dataset.images[0].boxes_xyxy_px.tolist() == [[0, 0, 5, 5], [60, 40, 64, 48], [1, 1, 64, 6]]
    dropped, clipped = dataset.notes
    assert "3 boxes of zero size or wholly outside the image: dropped" in dropped
    assert "2 boxes reaching outside the image: clipped" in clipped


def test_a_data_set_without_labels_can_be_read(tmp_path: Path) -> None:
    dataset = read_dataset(write_coco(tmp_path, {"images": coco()["images"]}))
    assert (dataset.object_count, dataset.class_names) == (0, ())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [', "broken JSON at line 1, column 13"),
        ("[]", "not a COCO data set"),
        ("{}", "not a COCO data set"),
        (coco(images=[]), "the data set is empty"),
        (coco(images={"id": 1}), "images should be a list of objects"),
        (coco(annotations=[1]), "annotations should be a list of objects"),
        (
            coco(annotations=[annotation(category_id=99)]),
            "annotation 1 has category id 99, but the categories are 3, 7",
        ),
        (coco(annotations=[annotation(image_id=99)]), "annotation 1 is on image id 99, which is not listed"),
        (coco(annotations=[annotation(bbox=[1, 2, 3])]), r"annotation 1 has the box \[1, 2, 3\], expected \[left, top"),
        (coco(annotations=[annotation(bbox=[1, 2, 3, float("nan")])]), "expected finite numbers, got NaN"),
        (coco(annotations=[annotation(bbox=[1, 2, 3, "4"])]), "annotation 1 has the box"),
        (coco(categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]), "two categories have the id 1"),
        (coco(categories=[{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]), "two categories have the name 'a'"),
        (coco(categories=[{"id": "one", "name": "a"}]), "category 'a': id: expected a whole number, got 'one'"),
        (coco(categories=[{"id": 1.5, "name": "a"}]), "category 'a': id: expected a whole number, got 1.5"),
        (coco(annotations=[annotation(iscrowd="maybe")]), "annotation 1: iscrowd: expected true or false, got 'maybe'"),
        (coco(annotations=[annotation(iscrowd=2)]), "annotation 1: iscrowd: expected true or false, got 2"),
        (coco(annotations=[annotation(track_id=1), annotation(bbox=[9, 9, 2, 2], track_id=1)]), "have the track_id 1"),
        (
            coco(annotations=[annotation(track_id=-1)]),
            "a.png: track_id: expected a whole number, 0 to .*, got -1",
        ),
        (coco(categories=[]), "the categories are none at all"),
        (coco(images=[{"id": 1, "width": 1, "height": 1}]), "an image needs a file_name"),
        (coco(images=[coco()["images"][0]] * 2), "two images have the id 10"),
        (coco(images=[coco()["images"][0] | {"ignored_regions": False}]), "ignored_regions should be a list"),
        (coco(images=[coco()["images"][0] | {"sequence": True}]), "sequence should be a name, got True"),
        (coco(images=[coco()["images"][0] | {"sequence": "a\x1b[2J"}]), "sequence should be a name"),
        (coco(annotations=[annotation(bbox=0, segmentation=[[1, 1, 9, 1, 9, 9]])]), "annotation 1 has the box 0"),
        (
            coco(images=[coco()["images"][0] | {"width": 0}]),
            "a.png: width: expected a whole number, 1 to .*, got 0",
        ),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "annotations" / "val.json"
    if isinstance(content, dict):
        content = {key: value for key, value in content.items() if key != "files"}
    try:
        write_coco(tmp_path, content)
    except (KeyError, TypeError):  # images without a file name cannot be written; the JSON is there all the same
        assert path.exists()
    with pytest.raises(InputError, match=message) as caught:
        read_dataset(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_images_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    path = write_coco(tmp_path)
    (tmp_path / "val" / "b.png").unlink()
    with pytest.raises(InputError, match=r"1 of 2 image files are missing, the first is b\.png; looked in"):
        read_dataset(path)


def test_binary_is_no_json(tmp_path: Path) -> None:
    path = tmp_path / "val.json"
    path.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(InputError, match=str(path)):
        read_dataset(path)


def test_the_shared_photographs_can_be_read(aerial_vehicles_tiny: Path) -> None:
    dataset = read_dataset(aerial_vehicles_tiny)
    assert (len(dataset.images), dataset.object_count, dataset.notes) == (24, 573, ())
    assert dataset.class_names == ("small-vehicle", "large-vehicle")


@pytest.mark.parametrize("key", ["iscrowd", "ignore", "uncertain"])
def test_objects_that_do_not_count_are_crowds(key: str, tmp_path: Path) -> None:
    values = [0, 1, False, True, 0.0, 1.0, "0", "1", "false", "True", None, ""]
    annotations = [annotation(id=i, bbox=[i, 1, 5, 5], **{key: value}) for i, value in enumerate(values)]
    dataset = read_dataset(write_coco(tmp_path, coco(annotations=annotations)))
    assert dataset.images[0].is_crowd.tolist() == [False, True] * 5 + [False, False]


def test_boxes_listed_twice_count_once(tmp_path: Path) -> None:
    other_class = annotation(id=3, category_id=7, iscrowd=0)
    once = [annotation(track_id=4), annotation(id=2, bbox=[1, 1, 5, 6]), other_class]
    dataset = read_dataset(write_coco(tmp_path, coco(annotations=[once[0], *once])))
    assert (dataset.object_count, dataset.images[0].class_ids.tolist()) == (3, [0, 0, 1])
    (note,) = dataset.notes
    assert note.endswith("1 box listed twice: counted once")


def test_an_image_listed_under_two_ids_is_read_once(tmp_path: Path) -> None:
    first, second = coco()["images"]
    again = first | {"id": 30, "file_name": f"./{first['file_name']}"}
    annotations = [annotation(), annotation(id=2, image_id=30), annotation(id=3, image_id=30, bbox=[20, 20, 4, 4])]
    dataset = read_dataset(write_coco(tmp_path, coco(images=[first, second, again], annotations=annotations)))
    assert [record.image_id for record in dataset.images] == [10, 20]
    assert dataset.images[0].boxes_xyxy_px.tolist() == [[1, 1, 6, 6], [20, 20, 24, 24]]
    assert [note.split(": ", 1)[1] for note in dataset.notes] == [
        "1 box listed twice: counted once",
        "1 image listed twice: read once",
    ]


def test_ids_and_sizes_may_be_text_or_whole_floats(tmp_path: Path) -> None:
    images = [{"id": "10", "file_name": "a.png", "width": 64.0, "height": "48"}]
    annotations = [
        annotation(image_id="10", category_id=3.0, track_id="5"),
        annotation(image_id=10.0, category_id="3.0"),
    ]
    content = coco(images=images, annotations=annotations, categories=[{"id": "3", "name": "car"}])
    annotations[1]["bbox"] = [20, 20, 5, 5]
    (record,) = read_dataset(write_coco(tmp_path, content)).images
    assert (record.image_id, record.width, record.height, record.class_ids.tolist()) == (10, 64, 48, [0, 0])
    assert record.track_ids is not None
    assert record.track_ids.tolist() == [5, -1]


def test_ignored_regions_are_read_and_have_to_be_boxes(tmp_path: Path) -> None:
    content = coco()
    content["images"][0]["ignored_regions"] = [[-4, 0, 10, 5], [90, 90, 5, 5]]
    assert read_dataset(write_coco(tmp_path, content)).images[0].ignored_xyxy_px.tolist() == [[0, 0, 6, 5]]
    for wrong in (7, [[1, 2]]):
        content["images"][0]["ignored_regions"] = wrong
        with pytest.raises(InputError, match=r"a.png: ignored_regions (should be a list|has the box \[1, 2\])"):
            read_dataset(write_coco(tmp_path, content))


def test_a_missing_box_is_that_around_the_polygons(tmp_path: Path) -> None:
    segmentation = [[10, 10, 20.5, 10, 20.5, 20], [5, 12, 6, 12, 6, 30, 5, 30]]
    annotations = [
        annotation(id=i, bbox=box, segmentation=segmentation) for i, box in enumerate([[], None, [1, 2, 3, 4]])
    ]
    del annotations[1]["bbox"]
    annotations[1]["category_id"] = 7
    dataset = read_dataset(write_coco(tmp_path, coco(annotations=annotations)))
    assert dataset.images[0].boxes_xyxy_px.tolist() == [[5, 10, 20.5, 30]] * 2 + [[1, 2, 4, 6]]


@pytest.mark.parametrize(
    "segmentation",
    [[], [[]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6, 7]], [[1, 2, 3, 4, 5, "6"]], [1, 2, 3, 4, 5, 6], {"counts": "ab"}],
)
def test_an_annotation_needs_a_box_or_polygons(tmp_path: Path, segmentation: Any) -> None:
    path = write_coco(tmp_path, coco(annotations=[annotation(bbox=None, segmentation=segmentation)]))
    with pytest.raises(InputError, match="annotation 1 has the box None, expected"):
        read_dataset(path)
