"""Data sets made of downloaded files: the frames, boxes and splits that this project publishes numbers on."""

from __future__ import annotations

import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JPEG_QUALITY = 93


@dataclass(frozen=True, kw_only=True)
class Flight:
    """Frames that were taken in one flight."""

    name: str
    split: str
    files: str
    """Pattern of its files' names without their suffix; the group is the frame's name."""
    tiny_scale: float
    """Factor for the variant `tiny`."""


@dataclass(frozen=True, kw_only=True)
class YoloToCoco:
    """Photographs with YOLO labels beside them -> COCO JSON in two variants, `native` and `tiny`.

    Frames are named FLIGHT_FRAME.jpg, `tiny` is scaled by area, boxes are clipped to the frame.
    """

    folder: str
    """Of the photographs in the download."""
    classes: tuple[str, ...]
    """Class for each YOLO class number; several may share one."""
    flights: tuple[Flight, ...]

    def write(self, downloads: Path, out: Path) -> None:
        """Write `out`/VARIANT/annotations/SPLIT.json and `out`/VARIANT/SPLIT/*.jpg."""
        for variant in ("native", "tiny"):
            for split in sorted({flight.split for flight in self.flights}):
                self._write_split(downloads / self.folder, out / variant, split)

    def _write_split(self, photographs: Path, out: Path, split: str) -> None:
        category_ids = {name: number for number, name in enumerate(dict.fromkeys(self.classes), start=1)}
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for path in sorted(path for path in photographs.iterdir() if path.suffix in (".jpg", ".png")):
            for flight in self.flights:
                match = re.fullmatch(flight.files, path.stem)
                if match is None or flight.split != split:
                    continue
                file_name = f"{flight.name}_{match[1].lower()}.jpg"
                scale = flight.tiny_scale if out.name == "tiny" else 1.0
                width, height = _write_scaled(path, out / split / file_name, scale)
                image_id = len(images) + 1
                images.append(
                    {"id": image_id, "file_name": file_name, "width": width, "height": height, "sequence": flight.name}
                )
                for line in path.with_suffix(".txt").read_text(encoding="utf-8").splitlines():
                    number, *box = line.split()
                    annotations.append(
                        {
                            "id": len(annotations) + 1,
                            "image_id": image_id,
                            "category_id": category_ids[self.classes[int(number)]],
                            **_clipped([float(value) for value in box], width, height),
                            "iscrowd": 0,
                        }
                    )
        categories = [{"id": number, "name": name} for name, number in category_ids.items()]
        content = {"images": images, "annotations": annotations, "categories": categories}
        (out / "annotations").mkdir(parents=True, exist_ok=True)
        (out / "annotations" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class VocByFlight:
    """Pascal VOC as published, with a second split that puts each flight on one side.

    Images are named ..._FRAME; the published lists move to ImageSets/Official.
    """

    folder: str
    """Of the data set in the download; files beside it (the licence) are taken along."""
    val: tuple[tuple[int, int], ...]
    """First and last frame of each flight; frames in neither `val` nor `test` are `train`."""
    test: tuple[tuple[int, int], ...]

    def write(self, downloads: Path, out: Path) -> None:
        """Write `out`/Annotations, JPEGImages and ImageSets; files are linked where the file system can."""
        out.mkdir(parents=True)
        for path in sorted(path for path in downloads.iterdir() if path.is_file()):
            _link(path, out / path.name)
        for folder, published in (
            ("Annotations", "Annotations"),
            ("JPEGImages", "JPEGImages"),
            ("ImageSets/Official", "ImageSets/Main"),
        ):
            (out / folder).mkdir(parents=True)
            for path in sorted((downloads / self.folder / published).iterdir()):
                _link(path, out / folder / path.name)
        frames = {path.stem: int(path.stem.rpartition("_")[2]) for path in (out / "Annotations").iterdir()}
        lists: dict[str, list[str]] = {"train": [], "val": [], "test": []}
        for stem in sorted(frames, key=frames.__getitem__):
            lists[self._split_of(frames[stem])].append(f"{stem}\n")
        (out / "ImageSets" / "Main").mkdir()
        for split, lines in lists.items():
            (out / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(lines), encoding="utf-8")

    def _split_of(self, frame: int) -> str:
        for split, flights in (("val", self.val), ("test", self.test)):
            if any(first <= frame <= last for first, last in flights):
                return split
        return "train"


def _write_scaled(source: Path, target: Path, scale: float) -> tuple[int, int]:
    """Write a JPEG; returns its width and height."""
    import cv2

    image_bgr = cv2.imread(str(source), cv2.IMREAD_COLOR)
    if scale != 1:
        image_bgr = cv2.resize(image_bgr, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", image_bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(encoded.tobytes())
    height, width = image_bgr.shape[:2]
    return width, height


def _clipped(box: list[float], width: int, height: int) -> dict[str, Any]:
    """A YOLO box (centre x, centre y, width, height as parts of the frame) as COCO's `bbox` and `area` in px."""
    x, y, w, h = box
    left, top = max(0.0, (x - w / 2) * width), max(0.0, (y - h / 2) * height)
    right, bottom = min(float(width), (x + w / 2) * width), min(float(height), (y + h / 2) * height)
    bbox = [round(value, 2) for value in (left, top, right - left, bottom - top)]
    return {"bbox": bbox, "area": round((right - left) * (bottom - top), 2)}


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without links
        shutil.copyfile(source, target)
