"""The two values that cross from data to training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """One training image.

    image_rgb: (H, W, 3) uint8.
    boxes_xyxy_px: (N, 4) float32, inside the image.
    class_ids: (N,) int64, ids of the recipe's classes.
    labelled: (classes,) bool; a class that this image's data set does not annotate is neither positive nor negative.
    """

    image_rgb: NDArray[np.uint8]
    boxes_xyxy_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    labelled: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """The boxes of one image as tensors; fields as in `Sample`."""

    boxes_xyxy_px: Tensor
    class_ids: Tensor
    labelled: Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """images_nchw: (N, 3, H, W) uint8 RGB; targets: one for each image."""

    images_nchw: Tensor
    targets: list[Target]

    def to(self, device: torch.device) -> Batch:
        """The same batch on `device`, its images as float in [0, 1]."""
        images = self.images_nchw.to(device, non_blocking=True).float().div_(255.0)
        targets = [
            Target(
                boxes_xyxy_px=target.boxes_xyxy_px.to(device, non_blocking=True),
                class_ids=target.class_ids.to(device, non_blocking=True),
                labelled=target.labelled.to(device, non_blocking=True),
            )
            for target in self.targets
        ]
        return Batch(images_nchw=images, targets=targets)


def collate(samples: list[Sample]) -> Batch:
    """Stack samples of equal image size."""
    images = np.stack([sample.image_rgb for sample in samples])
    targets = [
        Target(
            boxes_xyxy_px=torch.from_numpy(sample.boxes_xyxy_px),
            class_ids=torch.from_numpy(sample.class_ids),
            labelled=torch.from_numpy(sample.labelled),
        )
        for sample in samples
    ]
    return Batch(images_nchw=torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), targets=targets)
