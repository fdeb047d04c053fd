"""Training samples, and batches of them as tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial

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
    labelled: (classes,) bool; a class that the image's data set does not annotate is neither positive nor negative.
    ignored_xyxy_px: (M, 4) float32 regions in which nothing is positive or negative: crowds, regions and classes that
        the data set or the recipe ignores, objects of which the crop shows too little.
    sources: image files that the sample was made from.
    """

    image_rgb: NDArray[np.uint8]
    boxes_xyxy_px: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    labelled: NDArray[np.bool_]
    ignored_xyxy_px: NDArray[np.float32]
    sources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """Labels of one image as tensors; fields as in `Sample`."""

    boxes_xyxy_px: Tensor
    class_ids: Tensor
    labelled: Tensor
    ignored_xyxy_px: Tensor

    def map(self, function: Callable[[Tensor], Tensor]) -> Target:
        """Apply `function` to every tensor."""
        return Target(**{field.name: function(getattr(self, field.name)) for field in fields(self)})


@dataclass(frozen=True, kw_only=True, eq=False)
class Batch:
    """images_nchw: (N, 3, H, W) uint8 RGB. targets, sources: one for each image."""

    images_nchw: Tensor
    targets: list[Target]
    sources: list[tuple[str, ...]]

    def pin_memory(self) -> Batch:
        """Copy the batch into pinned memory, for asynchronous copies to a GPU (called by torch's loader)."""
        return replace(
            self,
            images_nchw=self.images_nchw.pin_memory(),
            targets=[target.map(Tensor.pin_memory) for target in self.targets],
        )

    def to(self, device: torch.device) -> Batch:
        """Copy the batch to `device`, with images as float in [0, 1], channels last."""
        images = self.images_nchw.to(device, non_blocking=True).float().div_(255.0)
        return replace(
            self,
            images_nchw=images.contiguous(memory_format=torch.channels_last),
            targets=[target.map(partial(Tensor.to, device=device, non_blocking=True)) for target in self.targets],
        )


def collate(samples: list[Sample]) -> Batch:
    """Stack samples of equal image size into a batch."""
    images = np.stack([sample.image_rgb for sample in samples])
    names = [field.name for field in fields(Target)]
    targets = [Target(**{name: torch.from_numpy(getattr(sample, name)) for name in names}) for sample in samples]
    return Batch(
        images_nchw=torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(),
        targets=targets,
        sources=[sample.sources for sample in samples],
    )
