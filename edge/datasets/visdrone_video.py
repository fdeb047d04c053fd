"""VisDrone-VID and VisDrone-MOT as published: a folder of frames and a text file for each clip, one object per line.

    frame,identity,left,top,width,height,score,category,truncation,occlusion

Frames count from 1, as their names do: `sequences/CLIP/0000001.jpg` and `annotations/CLIP.txt`. The rest is as in
VisDrone-DET (`tinydet.edge.datasets.visdrone`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.labels import WITHOUT_IMAGE, files_in, folders_in, image_files, missing_images, notes
from tinydet.edge.datasets.visdrone import CLASS_NAMES, find_folder, names_split, record_of_rows, row_of
from tinydet.edge.errors import InputError
from tinydet.edge.files.numbers import whole
from tinydet.edge.files.printable import printable
from tinydet.edge.files.regular_file import kind_of
from tinydet.edge.files.text_file import read_lines

LAYOUT = "VisDrone-VID (sequences/*/*.jpg with annotations/*.txt, or a folder VisDrone2019-VID-{split} with both)"
NAME = "VisDrone-VID"
FOLDERS = "sequences", ("VID", "MOT")
SHARED_IDENTITY = "boxes with the identity of another in the same frame: identity left out"


def find(path: Path, split: str) -> Path | None:
    """The split's folder with `sequences` and `annotations`: `path`, or a folder in it."""
    return find_folder(path, split, *FOLDERS)


def has_splits(path: Path) -> bool:
    """False for a folder of sequences and annotations whose name has no split."""
    return names_split(path, *FOLDERS)


def read(folder: Path, split: str) -> Dataset:
    """Read a split's folder: all frames of its clips, in order.

    Raises:
        InputError: a line is not ten numbers, a category is unknown, a clip has no annotations, or frames are missing.
    """
    counts: Counter[str] = Counter()
    records: list[ImageRecord] = []
    clips = folders_in(folder / "sequences")
    names = {clip.name for clip in clips}
    counts[WITHOUT_IMAGE] += sum(labels.stem not in names for labels in files_in(folder / "annotations", ".txt"))
    for clip in clips:
        records += _read_clip(clip, folder / "annotations" / f"{clip.name}.txt", len(records), counts)
    if not records:
        raise InputError(f"{printable(folder)}: the split {split} is empty (no frame in sequences)")
    return Dataset(
        path=folder, format=NAME, images=tuple(records), class_names=CLASS_NAMES, notes=notes(folder, counts)
    )


def _read_clip(clip: Path, labels: Path, records_before: int, counts: Counter[str]) -> list[ImageRecord]:
    if kind_of(labels) is None:
        raise InputError(f"{printable(clip)} has no {printable(labels)}: add it, or remove the clip")
    frames: dict[int, Path] = {}
    for image in image_files(clip):
        frame = whole(image.stem, f"{printable(image)}: number of the frame", 0)
        if frames.setdefault(frame, image) != image:
            raise InputError(f"{printable(image)} is frame {frame}, as {printable(frames[frame])} is: keep one of them")
    rows: defaultdict[int, list[list[float]]] = defaultdict(list)
    for line in read_lines(labels):
        row = row_of(line, labels, "frame,identity,")
        rows[whole(row[0], f"{printable(labels)}: frame", 0)].append(row[1:])
    missing = [f"{frame:07d}.jpg" for frame in sorted(set(rows) - set(frames))]
    if missing:
        raise missing_images(labels, missing, len(set(rows) | set(frames)), [clip])
    records = []
    for number, frame in enumerate(sorted(frames), start=records_before + 1):
        identities = [whole(row[0], f"{printable(labels)}: identity", -1) for row in rows[frame]]
        record = record_of_rows(
            number,
            frames[frame],
            [row[1:] for row in rows[frame]],
            counts,
            sequence=clip.name,
            track_ids=np.array(identities, np.int64),
        )
        records.append(_with_own_identities(record, counts))
    return records


def _with_own_identities(record: ImageRecord, counts: Counter[str]) -> ImageRecord:
    """Identity -1 for an object whose identity an earlier one of the image has."""
    assert record.track_ids is not None
    own = np.zeros(len(record.track_ids), bool)
    own[np.unique(record.track_ids, return_index=True)[1]] = True
    counts[SHARED_IDENTITY] += int((~own & (record.track_ids >= 0)).sum())
    return replace(record, track_ids=np.where(own, record.track_ids, -1))
