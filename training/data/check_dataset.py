"""Check a data set before training on it: broken files, duplicates, leaks between splits, object sizes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from tinydet.edge.boxes import size
from tinydet.edge.datasets.dataset import Dataset, ImageRecord, read_record
from tinydet.edge.datasets.unlabelled import NAME as UNLABELLED
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import BANDS_PX
from tinydet.edge.files.image_header import IMAGE_BYTES
from tinydet.edge.files.printable import printable
from tinydet.edge.files.regular_file import file_sha256

HASH_SIDE = 16
NEAR_BITS = 6
"""Images whose hashes differ in at most this many of 256 bits look the same (re-encoded, resized); frames of a clip
differ in more."""


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """File hash and difference hash of one image. problem: why the image cannot be used, or None."""

    path: Path
    split: str
    sha256: str
    difference_hash: NDArray[np.bool_]
    problem: str | None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A fault of the data set. kind: `broken`, `empty`, `duplicate`, `leak` or `classes`. text: one line for people."""

    kind: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """splits: data sets by split. sizes_px: square root of every object's area, by split. findings: its faults."""

    splits: dict[str, Dataset]
    sizes_px: dict[str, NDArray[np.float64]]
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, Any]:
        """JSON values of the report."""
        return {
            "splits": {
                name: {
                    "path": str(dataset.path),
                    "format": dataset.format,
                    "images": len(dataset.images),
                    "objects": dataset.object_count,
                    "crowds": int(sum(record.is_crowd.sum() for record in dataset.images)),
                    "ignored_regions": sum(len(record.ignored_xyxy_px) for record in dataset.images),
                    "images_without_objects": sum(len(record.class_ids) == 0 for record in dataset.images),
                    "objects_by_class": objects_by_class(dataset),
                    "objects_by_band": objects_by_band(self.sizes_px[name]),
                    "notes": list(dataset.notes),
                }
                for name, dataset in self.splits.items()
            },
            "findings": [{"kind": finding.kind, "text": finding.text} for finding in self.findings],
        }


Progress = Callable[[Sequence[tuple[str, ImageRecord]]], Iterable[tuple[str, ImageRecord]]]


def check(splits: dict[str, Dataset], progress: Progress = iter) -> Report:
    """Decode every image and compare the splits. Faults become findings, not exceptions."""
    jobs = [(name, record) for name, dataset in splits.items() for record in dataset.images]
    with ThreadPoolExecutor() as pool:
        pictures = [picture for picture, _ in zip(pool.map(_fingerprint, jobs), progress(jobs), strict=True)]
    findings = [
        *_broken(pictures),
        *_without_objects(splits),
        *_identical_files(pictures),
        *_near_duplicates(pictures),
        *_shared_sequences(splits),
        *_class_names(splits),
    ]
    sizes = {name: _sizes_px(dataset) for name, dataset in splits.items()}
    return Report(splits=splits, sizes_px=sizes, findings=tuple(findings))


def objects_by_class(dataset: Dataset) -> dict[str, int]:
    """Number of objects of each class, without crowds."""
    counts: Counter[int] = Counter()
    for record in dataset.images:
        counts.update(record.class_ids[~record.is_crowd].tolist())
    return {name: counts[index] for index, name in enumerate(dataset.class_names)}


def objects_by_band(sizes_px: NDArray[np.float64]) -> dict[str, int]:
    """Number of objects in each of AI-TOD's bands, from very tiny to medium and larger."""
    return {key: int(((sizes_px >= low) & (sizes_px < high)).sum()) for key, (low, high) in BANDS_PX.items()}


def _sizes_px(dataset: Dataset) -> NDArray[np.float64]:
    boxes = [record.boxes_xyxy_px[~record.is_crowd].astype(np.float64) for record in dataset.images]
    return size(np.concatenate([np.zeros((0, 4)), *boxes]))


def _fingerprint(job: tuple[str, ImageRecord]) -> Fingerprint:
    split, record = job
    nothing = np.zeros(HASH_SIDE * HASH_SIDE, bool)
    try:
        sha256 = file_sha256(record.path, what="image", limit_bytes=IMAGE_BYTES)
        image_rgb = read_record(record)
    except InputError as error:
        return Fingerprint(path=record.path, split=split, sha256="", difference_hash=nothing, problem=str(error))
    # Difference hash: is each cell brighter than its right neighbour?
    small = cv2.resize(image_rgb, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA).astype(np.int16).sum(2)
    difference_hash = (small[:, 1:] > small[:, :-1]).ravel()
    return Fingerprint(path=record.path, split=split, sha256=sha256, difference_hash=difference_hash, problem=None)


def _broken(pictures: Sequence[Fingerprint]) -> list[Finding]:
    return [Finding(kind="broken", text=picture.problem) for picture in pictures if picture.problem is not None]


def _without_objects(splits: dict[str, Dataset]) -> list[Finding]:
    """Splits to train or score on nothing; folders of images without labels are not meant for that."""
    return [
        Finding(kind="empty", text=f"{name} has no object: nothing to learn or to score")
        for name, dataset in splits.items()
        if dataset.format != UNLABELLED and all(record.is_crowd.all() for record in dataset.images)
    ]


def _identical_files(pictures: Sequence[Fingerprint]) -> list[Finding]:
    groups: defaultdict[str, list[Fingerprint]] = defaultdict(list)
    for picture in pictures:
        if picture.sha256:
            groups[picture.sha256].append(picture)
    findings = []
    for group in groups.values():
        if len(group) > 1:
            across = len({picture.split for picture in group}) > 1
            names = ", ".join(f"{printable(picture.path.name)} ({picture.split})" for picture in group[:4])
            findings.append(Finding(kind="leak" if across else "duplicate", text=f"identical files: {names}"))
    return findings


def _near_duplicates(pictures: Sequence[Fingerprint]) -> list[Finding]:
    """Images of two splits that look the same although their files differ."""
    usable = [picture for picture in pictures if picture.sha256 and picture.difference_hash.any()]
    splits = sorted({picture.split for picture in usable})
    findings = []
    for position, first in enumerate(splits):
        for second in splits[position + 1 :]:
            left = [picture for picture in usable if picture.split == first]
            right = [picture for picture in usable if picture.split == second]
            hashes = np.stack([picture.difference_hash for picture in right])
            for picture in left:
                bits = (hashes != picture.difference_hash).sum(axis=1)
                nearest = right[int(bits.argmin())]
                if bits.min() <= NEAR_BITS and nearest.sha256 != picture.sha256:
                    names = f"{picture.path.name} ({first}), {nearest.path.name} ({second})"
                    findings.append(Finding(kind="leak", text=f"almost the same image: {printable(names)}"))
    return findings


def _shared_sequences(splits: dict[str, Dataset]) -> list[Finding]:
    homes: defaultdict[str, set[str]] = defaultdict(set)
    for name, dataset in splits.items():
        for record in dataset.images:
            if record.sequence is not None:
                homes[record.sequence].add(name)
    return [
        Finding(kind="leak", text=f"images of the sequence {printable(sequence)} are in {' and '.join(sorted(names))}")
        for sequence, names in sorted(homes.items())
        if len(names) > 1
    ]


def _class_names(splits: dict[str, Dataset]) -> list[Finding]:
    names = {dataset.class_names for dataset in splits.values()}
    if len(names) < 2:
        return []
    lists = "; ".join(f"{name}: {', '.join(map(repr, dataset.class_names))}" for name, dataset in splits.items())
    return [Finding(kind="classes", text=f"class names differ between splits: {lists}")]
