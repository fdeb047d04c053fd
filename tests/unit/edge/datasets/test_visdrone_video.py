"""Files as VisDrone-VID and -MOT publish them: a folder of frames and a file of ten numbers a line for each clip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tinydet.edge.datasets.reading import read_dataset, splits_of
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image

# Two cars, of which one leaves; an ignored region with the first car's identity; `others`; an identity given twice.
LINES = """1,0,10,20,30,15,1,4,0,0
1,7,60,20,6,14,1,4,1,0
1,0,100,50,40,40,0,0,0,0
1,9,10,70,10,10,0,11,0,0
2,0,12,20,30,15,1,4,0,0
2,0,60,60,6,14,1,1,0,0
"""


def write_video(root: Path, *, task: str = "VID", lines: str = LINES) -> Path:
    folder = root / f"VisDrone2019-{task}-val"
    for clip, frames in (("uav0000086_00000_v", 3), ("uav0000117_02622_v", 1)):
        for frame in range(1, frames + 1):
            write_image(folder / "sequences" / clip / f"{frame:07d}.jpg", np.full((100, 160, 3), 90, np.uint8))
        (folder / "annotations").mkdir(exist_ok=True)
        (folder / "annotations" / f"{clip}.txt").write_text(lines if frames == 3 else "")
    return folder


@pytest.mark.parametrize("task", ["VID", "MOT"])
def test_clips_have_frames_and_identities(tmp_path: Path, task: str) -> None:
    folder = write_video(tmp_path, task=task)
    dataset = read_dataset(tmp_path)
    assert (dataset.format, dataset.path, splits_of(tmp_path)) == ("VisDrone-VID", folder, ["val"])
    assert [(image.image_id, image.path.name, image.sequence) for image in dataset.images] == [
        (1, "0000001.jpg", "uav0000086_00000_v"),
        (2, "0000002.jpg", "uav0000086_00000_v"),
        (3, "0000003.jpg", "uav0000086_00000_v"),
        (4, "0000001.jpg", "uav0000117_02622_v"),
    ]
    first, second, third, _ = dataset.images
    assert first.boxes_xyxy_px.tolist() == [[10, 20, 40, 35], [60, 20, 66, 34]]
    assert first.ignored_xyxy_px.tolist() == [[100, 50, 140, 90]]
    assert [image.track_ids is not None and image.track_ids.tolist() for image in (first, second, third)] == [
        [0, 7],
        [0, -1],
        [],
    ]
    assert [note.split(": ", 1)[1] for note in dataset.notes] == [
        "1 box of the class `others`: left out, as in the benchmark",
        "1 box with the identity of another in the same frame: identity left out",
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1,0,10,20,30,15,1,4\n", r"expected 10 numbers a line \(frame,identity,left,top,"),
        ("1.5,0,10,20,30,15,1,4,0,0\n", "frame: expected a whole number"),
        ("1,0.5,10,20,30,15,1,4,0,0\n", "identity: expected a whole number"),
        ("1,0,10,20,30,15,1,12,0,0\n", "category 12 is unknown"),
        ("9,0,10,20,30,15,1,4,0,0\n", r"1 of 4 image files are missing, the first is 0000009\.jpg"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, lines: str, message: str) -> None:
    write_video(tmp_path, lines=lines)
    with pytest.raises(InputError, match=f"uav0000086_00000_v.txt: {message}"):
        read_dataset(tmp_path)


def test_labels_of_a_missing_clip_are_counted(tmp_path: Path) -> None:
    folder = write_video(tmp_path)
    (folder / "annotations" / "uav0000999_00000_v.txt").write_text("")
    assert "1 label file without an image: left out" in " ".join(read_dataset(tmp_path).notes)


def test_frames_need_numbers_and_clips_annotations(tmp_path: Path) -> None:
    folder = write_video(tmp_path)
    (folder / "annotations" / "uav0000117_02622_v.txt").unlink()
    with pytest.raises(InputError, match=r"uav0000117_02622_v has no .*uav0000117_02622_v\.txt: add it"):
        read_dataset(tmp_path)
    clip = folder / "sequences" / "uav0000086_00000_v"
    write_image(clip / "1.png", np.zeros((100, 160, 3), np.uint8))
    with pytest.raises(InputError, match=r"is frame 1, as .* is: keep one of them"):
        read_dataset(tmp_path)
    (clip / "1.png").unlink()
    (clip / "0000001.jpg").rename(clip / "first.jpg")
    with pytest.raises(InputError, match=r"first\.jpg: number of the frame: expected a whole number"):
        read_dataset(tmp_path)
