"""Fingerprint of a data set, by which a resumed run notices that its data changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from tinydet.edge.datasets.dataset import Dataset


def fingerprint(datasets: Iterable[Dataset]) -> str:
    """Hexadecimal SHA-256 of classes, and of names, sizes (pixels and bytes) and labels of all images, in order.

    Folders do not count: a data set may move. Pictures are not read, for that takes minutes.
    """
    digest = hashlib.sha256()
    for dataset in datasets:
        digest.update(repr((dataset.class_names, len(dataset.images))).encode())
        for record in dataset.images:
            bytes_ = record.path.stat().st_size
            digest.update(repr((record.path.name, record.width, record.height, bytes_)).encode("utf-8", "replace"))
            for values in (record.boxes_xyxy_px, record.class_ids, record.is_crowd, record.ignored_xyxy_px):
                digest.update(f"{values.dtype} {values.shape}".encode())
                digest.update(values.tobytes())
    return digest.hexdigest()
