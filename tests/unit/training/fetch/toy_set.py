"""A public data set small enough for a test: two flights of random pictures, to be fetched from a folder or server."""

from __future__ import annotations

import gzip
import hashlib
import tarfile
from pathlib import Path

import numpy as np

from tinydet.edge.files.images import write_image
from tinydet.training.data.public_sets import RemoteFile, manifest_line

NAME = "toy"
FIRST = "frames/A-1.png"

SETTINGS = """
title = "a toy"
folder = "toys"
address = "https://toys.example"
licence = "CC BY 4.0"
credit = "the toy makers"
changes = "made smaller"
sources = [{sources}]

[yolo_to_coco]
folder = "frames"
classes = ["car", "truck", "truck"]

[[yolo_to_coco.flights]]
name = "east"
split = "train"
files = '(A-\\d+)'
tiny_scale = 0.5

[[yolo_to_coco.flights]]
name = "west"
split = "val"
files = 'Old(B\\d)'
tiny_scale = 0.25
"""

LABELS = "0 0.5 0.5 0.25 0.5\n2 0 0.25 0.5 0.1\n"
"""A box in the middle, and one that reaches out of the frame."""


def write_source(folder: Path) -> Path:
    """Three pictures of 80x40 with labels, and a file that is not in the manifest."""
    rng = np.random.default_rng(0)
    for name in ("A-1", "A-2", "OldB3"):
        write_image(folder / "frames" / f"{name}.png", rng.integers(0, 256, (40, 80, 3), np.uint8))
        (folder / "frames" / f"{name}.txt").write_text(LABELS)
    (folder / "frames" / "not-free.png").write_bytes(b"not to be fetched")
    return folder


def write_set(sets: Path, source: Path, *addresses: str) -> Path:
    """The TOML file and the manifest of `source` in `sets`."""
    sets.mkdir(exist_ok=True)
    (sets / f"{NAME}.toml").write_text(SETTINGS.format(sources=", ".join(f'"{address}"' for address in addresses)))
    contents = {path.relative_to(source).as_posix(): path.read_bytes() for path in sorted(source.rglob("[AO]*.*"))}
    lines = [
        manifest_line(RemoteFile(path=path, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()))
        for path, data in contents.items()
    ]
    (sets / f"{NAME}.manifest.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return sets


def write_archive(path: Path, source: Path) -> Path:
    """As GitHub makes them: everything below one top folder."""
    with tarfile.open(path, "w:gz") as archive:
        archive.add(source, "toys-0123")
    return path
