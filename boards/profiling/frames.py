"""Frames to time detection on: images of a data set, or built-in noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.files.images import read_image

MAX_FRAMES = 16
NOISE_WH = (1920, 1080)


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Decoded frames, held in memory while timing."""

    images_rgb: tuple[npt.NDArray[np.uint8], ...]
    """(H, W, 3) each."""
    description: str
    """Their origin, for the protocol."""


def noise_frames() -> Frames:
    """One full-HD frame of noise, the same on every machine."""
    width, height = NOISE_WH
    noise = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4, 3)).astype(np.uint8)
    image_rgb = np.asarray(cv2.resize(noise, NOISE_WH, interpolation=cv2.INTER_CUBIC), np.uint8)
    return Frames(images_rgb=(image_rgb,), description=f"built-in noise, {width}x{height}")


def dataset_frames(dataset: Dataset) -> Frames:
    """Up to 16 images of a data set, evenly spread over it."""
    step = max(1, len(dataset.images) // MAX_FRAMES)
    records = dataset.images[::step][:MAX_FRAMES]
    description = f"{len(records)} of {len(dataset.images)} images of {dataset.path}"
    return Frames(images_rgb=tuple(read_image(record.path) for record in records), description=description)
