from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.models import spot_metadata, write_spot_detector
from tests.unit.edge.datasets.coco_files import annotation, coco, write_coco
from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.detection.detector import Detector
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.evaluate import evaluate, match_classes
from tinydet.edge.files.images import write_image


def spots(folder: Path, *, names: tuple[str, ...] = ("spot",)) -> Dataset:
    """An image with two bright cells, each marked by the 8x8 box the detector draws around it."""
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 64}],
        "categories": [{"id": index, "name": name} for index, name in enumerate(names)],
        "annotations": [
            annotation(id=1, image_id=1, category_id=0, bbox=[6, 6, 8, 8]),
            annotation(id=2, image_id=1, category_id=len(names) - 1, bbox=[38, 30, 8, 8]),
        ],
    }
    path = write_coco(folder, content)
    image = np.zeros((64, 64, 3), np.uint8)
    image[8:12, 8:12] = image[32:36, 40:44] = 255
    write_image(folder / "val" / "a.png", image)
    return read_dataset(path)


def detector(folder: Path, *names: str) -> Detector:
    return Detector(write_spot_detector(folder / "spots.onnx", spot_metadata(class_names=names, score_threshold=1.0)))


def test_finds_what_is_marked_whatever_threshold_the_detector_flies_with(tmp_path: Path) -> None:
    accuracy = evaluate(detector(tmp_path, "spot"), spots(tmp_path))
    assert (accuracy.overall["AP"], accuracy.overall["APt"]) == (1, 1)


def test_classes_meet_by_name(tmp_path: Path) -> None:
    """The model's class 0 is the data set's class 1, its other class is nowhere in the data set."""
    dataset = spots(tmp_path, names=("blob", "spot"))
    accuracy = evaluate(detector(tmp_path, "spot", "person"), dataset)
    assert accuracy.per_class["spot"]["AP50"] == pytest.approx(1, abs=0.5)
    assert accuracy.per_class["blob"]["AP"] == 0, "a class the model does not know counts as missed"


def test_what_only_one_side_knows_is_said() -> None:
    match = match_classes(("car", "person"), ("truck", "car"))
    assert match.data_class_ids.tolist() == [1, -1]
    assert match.notes == (
        "not counted, the data set does not annotate them: person",
        "counted as missed, the model does not know them: truck",
    )
    assert match_classes(("car",), ("car",)).notes == ()


@pytest.mark.parametrize("data_names", [("truck",), ()])
def test_no_class_in_common_is_an_error(data_names: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="no class in common"):
        match_classes(("car",), data_names)


@pytest.mark.parametrize("crowds", [[], ["1"], [True, 1]])
def test_without_objects_nothing_is_scored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], crowds: list[object]
) -> None:
    annotations = [annotation(id=i, bbox=[i, 1, 5, 5], iscrowd=crowd) for i, crowd in enumerate(crowds)]
    path = write_coco(tmp_path, coco(annotations=annotations))
    with pytest.raises(InputError, match=r"nothing to score in .*val\.json: (it has no object|all of its)"):
        evaluate(detector(tmp_path, "car"), read_dataset(path))
    assert main(["evaluate", str(tmp_path / "spots.onnx"), str(path), "--json", str(tmp_path / "ap.json")]) == 2
    assert "nothing to score" in capsys.readouterr().err
    assert not (tmp_path / "ap.json").exists()


def test_an_image_of_another_size_than_the_data_set_says(tmp_path: Path) -> None:
    dataset = spots(tmp_path)
    write_image(dataset.images[0].path, np.zeros((10, 20, 3), np.uint8))
    with pytest.raises(InputError, match=r"a\.png is 20x10, the data set says 64x64"):
        evaluate(detector(tmp_path, "spot"), dataset)


def test_progress_sees_every_image(tmp_path: Path) -> None:
    seen: list[str] = []

    def watch(records: Sequence[ImageRecord]) -> Iterator[ImageRecord]:
        for record in records:
            seen.append(record.path.name)
            yield record

    evaluate(detector(tmp_path, "spot"), spots(tmp_path), watch)
    assert seen == ["a.png"]
