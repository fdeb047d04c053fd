"""`tinydet evaluate --track` on a clip of bright spots."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.models import write_spot_detector
from tests.unit.edge.datasets.coco_files import annotation, write_coco
from tinydet.edge.commands.cli import main
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image

FRAMES = 6


def spot_clip(folder: Path, *, with_times: bool = True, with_tracks: bool = True) -> Path:
    """One spot stands, one moves by a cell (4 px) a frame."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for index in range(FRAMES):
        time = {"time_s": index / 5} if with_times else {}
        name = f"{index}.png"
        images.append({"id": index + 1, "file_name": name, "width": 64, "height": 64, "sequence": "a", **time})
        for track_id, (column, row) in enumerate([(2, 2), (4 + index, 10)]):
            track = {"track_id": track_id} if with_tracks else {}
            box = [4 * column - 2, 4 * row - 2, 8, 8]
            number = len(annotations) + 1
            annotations.append(annotation(id=number, image_id=index + 1, category_id=0, bbox=box) | track)
    write_coco(folder, {"images": images, "categories": [{"id": 0, "name": "spot"}], "annotations": annotations})
    for index in range(FRAMES):
        image = np.zeros((64, 64, 3), np.uint8)
        image[8:12, 8:12] = image[40:44, 16 + 4 * index : 20 + 4 * index] = 255
        write_image(folder / "val" / f"{index}.png", image)
    return folder


def test_spots_keep_their_identities(tmp_path: Path) -> None:
    clip, model, out = spot_clip(tmp_path / "clip"), write_spot_detector(tmp_path / "s.onnx"), tmp_path / "out.json"
    assert main(["evaluate", str(model), str(clip), "--json", str(out), "--track"]) == 0
    result = json.loads(out.read_text())
    assert result["AP50"] == 1
    assert result["tracking"]["IDF1"] == 1 and result["tracking"]["IDsw"] == 0
    assert result["tracking"]["per_class"]["spot"]["IDF1"] == 1


def test_frames_without_times_need_a_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip, model = spot_clip(tmp_path / "clip", with_times=False), write_spot_detector(tmp_path / "s.onnx")
    assert main(["evaluate", str(model), str(clip), "--track"]) == 2
    assert "give --track FPS" in capsys.readouterr().err
    assert main(["evaluate", str(model), str(clip), "--track", "5"]) == 0
    assert "IDF1 1.000" in capsys.readouterr().err
    assert main(["evaluate", str(model), str(clip), "--track", "-5"]) == 2


def test_a_data_set_without_identities_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip, model = spot_clip(tmp_path / "clip", with_tracks=False), write_spot_detector(tmp_path / "s.onnx")
    assert main(["evaluate", str(model), str(clip), "--track"]) == 2
    assert "has no identities" in capsys.readouterr().err


def test_times_and_identities_are_read_and_checked(tmp_path: Path) -> None:
    folder = spot_clip(tmp_path)
    dataset = read_dataset(folder)
    assert [image.time_s for image in dataset.images] == pytest.approx([index / 5 for index in range(FRAMES)])
    assert all(image.track_ids is not None and image.track_ids.tolist() == [0, 1] for image in dataset.images)
    path = folder / "annotations" / "val.json"
    good = json.loads(path.read_text())
    good["annotations"][0]["track_id"] = 1
    path.write_text(json.dumps(good))
    with pytest.raises(InputError, match="have the track_id 1"):
        read_dataset(folder)
    good["annotations"][0]["track_id"] = "x"
    path.write_text(json.dumps(good))
    with pytest.raises(InputError, match="track_id: expected a whole number"):
        read_dataset(folder)
