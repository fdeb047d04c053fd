"""Write rendered scenes and clips as COCO data sets."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.edge.errors import InputError
from tinydet.edge.files.folder_lock import locked_folder
from tinydet.edge.files.images import write_image
from tinydet.edge.files.numbers import LARGEST_WHOLE
from tinydet.edge.files.printable import shown
from tinydet.edge.files.writing import atomic_path, check_room, writable_folder, write_json
from tinydet.training.data.scenes.canvas import ImageU8
from tinydet.training.data.scenes.clip import render_clip
from tinydet.training.data.scenes.scene import SCENE_CLASSES, render_scene

MOST_IMAGES = 1_000_000

Progress = Callable[[Sequence[int]], Iterable[int]]
"""Wraps the sequence of picture numbers, to show the progress while pictures are rendered."""


class CocoWriter:
    """Writes pictures to `<folder>/<split>/` and their boxes to `<folder>/annotations/<split>.json`.

    margin_px: widens every box by this much on every side, up to the border of the picture.
    class_names: categories; the class ids of the boxes are indices into them.
    info: `info` of the JSON file; left out by default.
    """

    def __init__(
        self,
        folder: Path | str,
        split: str,
        *,
        margin_px: float = 0.0,
        class_names: Sequence[str] = SCENE_CLASSES,
        info: Mapping[str, Any] | None = None,
    ) -> None:
        self.folder = writable_folder(folder)
        self._labels = writable_folder(self.folder / "annotations") / f"{split}.json"
        self._class_names = class_names
        self._info = info
        self._margin_px = np.array([-margin_px, -margin_px, margin_px, margin_px])
        self._pictures = writable_folder(self.folder / split)
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []

    def add(
        self,
        name: str,
        image_rgb: ImageU8,
        boxes_xyxy_px: npt.NDArray[np.float32],
        class_ids: npt.NDArray[np.int64],
        *,
        sequence: str,
        time_s: float | None = None,
        identities: npt.NDArray[np.int64] | None = None,
        decoys_xyxy_px: npt.NDArray[np.float32] | None = None,
    ) -> None:
        """Write a picture as JPEG and add its boxes; for a frame of a clip also its time and track ids.

        Decoys are listed as `decoys` of the image, [left, top, width, height] each: they are background.
        """
        picture = self._pictures / f"{name}.jpg"
        if picture.exists():  # of an earlier run, whose boxes do not fit from here on
            self._labels.unlink(missing_ok=True)
        write_image(picture, image_rgb)
        image_id = len(self._images) + 1
        height, width = image_rgb.shape[:2]
        image = {"id": image_id, "file_name": f"{name}.jpg", "width": width, "height": height, "sequence": sequence}
        if time_s is not None:
            image["time_s"] = round(time_s, 6)
        if decoys_xyxy_px is not None:
            image["decoys"] = self._boxes_ltwh(decoys_xyxy_px, width, height)
        self._images.append(image)
        boxes = self._boxes_ltwh(boxes_xyxy_px, width, height)
        for number, (box, class_id) in enumerate(zip(boxes, class_ids.tolist(), strict=True)):
            annotation = {
                "id": len(self._annotations) + 1,
                "image_id": image_id,
                "category_id": class_id + 1,
                "bbox": box,
                "area": round(box[2] * box[3], 2),
                "iscrowd": 0,
            }
            if identities is not None:
                annotation["track_id"] = int(identities[number])
            self._annotations.append(annotation)

    def _boxes_ltwh(self, boxes_xyxy_px: npt.NDArray[np.float32], width: int, height: int) -> list[list[float]]:
        """Boxes with the margin, [left, top, width, height], to two decimals."""
        boxes = np.clip(boxes_xyxy_px + self._margin_px, 0, [width, height, width, height])
        rounded = [[round(edge, 2) for edge in box] for box in boxes.tolist()]
        return [[left, top, round(right - left, 2), round(bottom - top, 2)] for left, top, right, bottom in rounded]

    def close(self) -> None:
        """Write the JSON file, last, so that it only lists files that exist."""
        categories = [{"id": index + 1, "name": name} for index, name in enumerate(self._class_names)]
        content = {"images": self._images, "annotations": self._annotations, "categories": categories}
        write_json(self._labels, content if self._info is None else {"info": self._info, **content})


def scene_seed(seed: int, split: str, index: int) -> int:
    """Seed of a picture of a data set; differs between splits, so that `train` and `val` share no scene."""
    return int(np.random.default_rng((seed, zlib.crc32(split.encode()), index)).integers(2**31))


def write_dataset(
    folder: Path | str,
    *,
    images: int,
    seed: int,
    size_hw: tuple[int, int],
    split: str = "val",
    margin_px: float = 0.0,
    decoys: bool = False,
    progress: Progress = iter,
) -> Path:
    """Render pictures into a COCO folder; returns the folder.

    Boxes are exact, or wider by `margin_px` on every side, because people leave some room around an object. With
    `decoys` only small vehicles are labelled, and as many decoys, which look the same but stand on roofs and fields,
    are background; the JSON's `info` names seed and `decoys`, and every image lists its decoys.

    Raises:
        InputError: a number is out of range, or the folder cannot be written.
    """
    _check(images=images, seed=seed, size_hw=size_hw, split=split, margin_px=margin_px)
    with locked_folder(Path(folder) / split):
        writer = (
            CocoWriter(folder, split, margin_px=margin_px, class_names=SCENE_CLASSES[:1], info=_decoy_info(seed))
            if decoys
            else CocoWriter(folder, split, margin_px=margin_px)
        )
        for index in progress(range(images)):
            name = f"scene_{index:05d}"
            scene = render_scene(scene_seed(seed, split, index), size_hw, decoys=decoys)
            writer.add(
                name,
                scene.image_rgb,
                scene.boxes_xyxy_px,
                scene.class_ids,
                sequence=name,
                decoys_xyxy_px=scene.decoys_xyxy_px if decoys else None,
            )
        writer.close()
    return writer.folder


def _decoy_info(seed: int) -> dict[str, Any]:
    return {"description": "rendered by tinydet data render --decoys", "seed": seed, "decoys": True}


def write_clip(
    folder: Path | str,
    *,
    frames: int,
    fps: float,
    seed: int,
    size_hw: tuple[int, int],
    split: str = "val",
    margin_px: float = 0.0,
    progress: Progress = iter,
) -> Path:
    """Render a clip as `<folder>/clip.mp4` and, frame by frame, as a COCO folder; returns the video's path.

    In the JSON every image has its `time_s` and every annotation the `track_id` of its object.

    Raises:
        InputError: a number is out of range, the folder cannot be written, or OpenCV cannot encode MPEG-4.
    """
    _check(images=frames, seed=seed, size_hw=size_hw, split=split, margin_px=margin_px)
    if not 0 < fps <= 240:
        raise InputError(f"expected more than 0 and at most 240 frames per second, got {fps}")
    target = Path(folder) / "clip.mp4"
    with locked_folder(Path(folder) / split), atomic_path(target) as partial:
        writer = CocoWriter(folder, split, margin_px=margin_px)
        check_room(writer.folder)
        video = cv2.VideoWriter(str(partial), cv2.VideoWriter.fourcc(*"mp4v"), fps, (size_hw[1], size_hw[0]))
        if not video.isOpened():
            raise InputError(f"cannot write video {target}: this OpenCV has no MPEG-4 encoder")
        try:
            rendered = render_clip(seed, frames=frames, fps=fps, size_hw=size_hw)
            for _, frame in zip(progress(range(frames)), rendered, strict=True):
                check_room(writer.folder)
                video.write(cv2.cvtColor(frame.image_rgb, cv2.COLOR_RGB2BGR))
                writer.add(
                    f"frame_{frame.index:05d}",
                    frame.image_rgb,
                    frame.boxes_xyxy_px,
                    frame.class_ids,
                    sequence="clip",
                    time_s=frame.time_s,
                    identities=frame.identities,
                )
        finally:
            video.release()
        writer.close()
    return target


def _check(*, images: int, seed: int, size_hw: tuple[int, int], split: str, margin_px: float) -> None:
    if not 1 <= images <= MOST_IMAGES:
        raise InputError(f"expected 1 to {MOST_IMAGES} pictures, got {shown(images)}")
    if not 0 <= seed <= LARGEST_WHOLE:
        raise InputError(f"expected a seed of 0 to {LARGEST_WHOLE}, got {shown(seed)}")
    if not (min(size_hw) >= 64 and max(size_hw) <= 4096):
        raise InputError(f"expected pictures of 64 to 4096 pixels, got {size_hw[1]}x{size_hw[0]}")
    if not 0 <= margin_px <= 100:
        raise InputError(f"expected a margin of 0 to 100 pixels, got {margin_px}")
    if not re.fullmatch(r"[\w][\w.-]{0,99}", split) or split == "annotations":
        raise InputError(f"expected a split name such as train or val, got {shown(split)}")
