"""Pascal VOC: an XML file for each image in `Annotations`, the image in `JPEGImages`, splits in `ImageSets/Main`.

Pixels are counted from 1 and a box includes its last one, so a box from 1 to 10 is 10 wide: left = xmin - 1,
right = xmax. Objects marked `difficult` count as crowds: they neither reward nor punish a detection.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.labels import (
    each_once,
    files_in,
    flag,
    image_files,
    image_size,
    missing_images,
    notes,
    order_corners,
    read_lines,
    record_of,
)
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import IMAGE_SUFFIXES

LAYOUT = "Pascal VOC (Annotations/*.xml with JPEGImages, and ImageSets/Main/{split}.txt if it has splits)"
NAME = "Pascal VOC"
IMAGE_FOLDERS = ("JPEGImages", "images", ".")
WIDER_ENCODINGS = {"gb2312": "gb18030", "gbk": "gb18030"}
"""Encodings to decode with instead, because files often hold characters that only these have."""


def find(path: Path, split: str) -> Path | None:
    """The folder `path` if it has `Annotations` and the split; without lists of splits it serves as any split."""
    if not files_in(path / "Annotations", ".xml"):
        return None
    lists = path / "ImageSets" / "Main"
    return path if not lists.is_dir() or (lists / f"{split}.txt").is_file() else None


def has_splits(path: Path) -> bool:
    """Whether the data set has lists of splits."""
    return (path / "ImageSets" / "Main").is_dir()


def read(folder: Path, split: str) -> Dataset:
    """Read a split. Its classes are all names in the data set, sorted, so that the splits agree.

    Raises `InputError` for broken XML, an object without name or box, and missing images.
    """
    trees = {path.stem: _parse(path) for path in files_in(folder / "Annotations", ".xml")}
    class_names = tuple(sorted({_name(entry) for tree in trees.values() for entry in tree.iter("object")} - {""}))
    listing = folder / "ImageSets" / "Main" / f"{split}.txt"
    counts: Counter[str] = Counter()
    stems = list(trees)
    if listing.is_file():
        stems = each_once([_listed(line.strip(), listing, trees) for line in read_lines(listing)], counts)
    if not stems:
        raise InputError(f"{listing}: the split {split} is empty")
    folders = [folder / name for name in IMAGE_FOLDERS if (folder / name).is_dir()]
    images = {image.stem: image for place in reversed(folders) for image in image_files(place)}
    missing = [stem for stem in stems if stem not in images]
    if missing:
        raise missing_images(folder, missing, len(stems), folders)
    records = [
        _record(number, images[stem], trees[stem], class_names, counts) for number, stem in enumerate(stems, start=1)
    ]
    return Dataset(
        path=folder, format=NAME, images=tuple(records), class_names=class_names, notes=notes(folder, counts)
    )


def _listed(line: str, listing: Path, trees: Container[str]) -> str:
    """The stem in a line of a list: alone, with an extension, or followed by -1, 0 or 1 (as in the lists by class)."""
    for text in (line, re.sub(r"\s+(-1|0|1)$", "", line)):
        path = Path(text)
        for stem in [path.name, path.stem] if path.suffix.lower() in {*IMAGE_SUFFIXES, ".xml"} else [path.name]:
            if stem in trees:
                return stem
    raise InputError(f"{listing}: {line} has no Annotations/{line}.xml")


def _parse(path: Path) -> ElementTree.Element:
    """Parse an XML file; decoded here, because the parser supports neither multi-byte encodings nor the name `utf8`."""
    try:
        content = path.read_bytes()
        declared = re.match(rb"""(?:\xef\xbb\xbf)?<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)""", content)
        if declared is None:
            return ElementTree.fromstring(content)
        encoding = declared[1].decode().lower()
        return ElementTree.fromstring(content.decode(WIDER_ENCODINGS.get(encoding, encoding)))
    except OSError as error:
        raise InputError(f"cannot read labels {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not {error.encoding}, which the file declares") from error
    except LookupError as error:
        raise InputError(f"{path}: {error}") from error
    except ElementTree.ParseError as error:
        raise InputError(f"{path}: broken XML: {error}") from error


def _record(
    number: int, image: Path, tree: ElementTree.Element, class_names: tuple[str, ...], counts: Counter[str]
) -> ImageRecord:
    objects = list(tree.iter("object"))
    boxes = order_corners(np.array([_box(entry, image) for entry in objects], np.float64).reshape(-1, 4), counts)
    return record_of(
        number,
        image,
        size=image_size(image),
        boxes_xyxy_px=boxes - np.array([1, 1, 0, 0]),
        class_ids=np.array([class_names.index(_name(entry)) for entry in objects], np.int64),
        is_crowd=np.array([_is_difficult(entry, image) for entry in objects], bool),
        counts=counts,
    )


def _is_difficult(entry: ElementTree.Element, image: Path) -> bool:
    difficult = flag(entry.findtext("difficult"))
    if difficult is None:
        raise InputError(f"Annotations of {image.name}: expected difficult 0 or 1, got {entry.findtext('difficult')!r}")
    return difficult


def _name(entry: ElementTree.Element) -> str:
    return (entry.findtext("name") or "").strip()


def _box(entry: ElementTree.Element, image: Path) -> list[float]:
    """xmin, ymin, xmax and ymax of an object."""
    box = entry.find("bndbox")
    try:
        if not _name(entry) or box is None:
            raise ValueError
        corners = [float(box.findtext(side) or "") for side in ("xmin", "ymin", "xmax", "ymax")]
        if not np.isfinite(corners).all():
            raise ValueError
    except ValueError:
        raise InputError(
            f"Annotations of {image.name}: an object needs a name and a bndbox of four numbers, got "
            f"{' '.join(ElementTree.tostring(entry, encoding='unicode').split())}"
        ) from None
    return corners
