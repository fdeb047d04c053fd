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
from xml.etree.ElementTree import Element

import numpy as np

from tinydet.edge.datasets.dataset import Dataset, ImageRecord
from tinydet.edge.datasets.labels import (
    class_name,
    each_once,
    files_in,
    image_files,
    missing_images,
    notes,
    numbers_in,
    order_corners,
    record_of,
)
from tinydet.edge.errors import InputError
from tinydet.edge.files.image_header import image_size
from tinydet.edge.files.images import IMAGE_SUFFIXES
from tinydet.edge.files.numbers import flag
from tinydet.edge.files.printable import printable
from tinydet.edge.files.text_file import read_lines
from tinydet.edge.files.xml_file import read_xml

LAYOUT = "Pascal VOC (Annotations/*.xml with JPEGImages, and ImageSets/Main/{split}.txt if it has splits)"
NAME = "Pascal VOC"
IMAGE_FOLDERS = ("JPEGImages", "images", ".")
LONGEST_SHOWN = 400
"""Characters of an object in an error message."""


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
    names = {_name(entry): stem for stem, tree in trees.items() for entry in tree.iter("object")}
    class_names = tuple(sorted(class_name(name, f"Annotations of {printable(names[name])}") for name in names if name))
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
    name = printable(line[:LONGEST_SHOWN])
    raise InputError(f"{printable(listing)}: {name} has no Annotations/{name}.xml")


def _parse(path: Path) -> Element:
    root = read_xml(path)
    if root.tag.lower() != "annotation":
        raise InputError(f"{printable(path)}: expected <annotation>, as Pascal VOC has it, got <{printable(root.tag)}>")
    return root


def _record(number: int, image: Path, tree: Element, class_names: tuple[str, ...], counts: Counter[str]) -> ImageRecord:
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


def _is_difficult(entry: Element, image: Path) -> bool:
    text = (entry.findtext("difficult") or "").strip()
    return bool(text) and flag(text, f"Annotations of {printable(image.name)}: difficult")


def _name(entry: Element) -> str:
    return (entry.findtext("name") or "").strip()


def _box(entry: Element, image: Path) -> list[float]:
    """xmin, ymin, xmax and ymax of an object."""
    box = entry.find("bndbox")
    corners = None
    if _name(entry) and box is not None:
        corners = numbers_in([(box.findtext(side) or "").strip() for side in ("xmin", "ymin", "xmax", "ymax")])
    if corners is None:
        text = " ".join(ElementTree.tostring(entry, encoding="unicode").split())
        raise InputError(
            f"Annotations of {printable(image.name)}: an object needs a name and a bndbox of four numbers, got "
            f"{printable(text[:LONGEST_SHOWN])}"
        )
    return corners
