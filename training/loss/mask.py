"""Loss of FBSM's masks, supervised by the boxes."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tinydet.training.data.batch import Target
from tinydet.training.distributed import global_sum, shared_sum


def covered_cells(boxes_xyxy_px: list[Tensor], *, height: int, width: int, stride: int) -> Tensor:
    """(N, 1, height, width) bool: which cells of `stride` pixels overlap a box of their image, (M, 4) each.

    Each box adds +1 or -1 at the cells of its corners and two cumulative sums fill it (an inverse summed-area table):
    the cost does not grow with the area of the boxes.
    """
    corners = torch.zeros(len(boxes_xyxy_px), height + 1, width + 1, device=boxes_xyxy_px[0].device)
    for image, boxes_px in enumerate(boxes_xyxy_px):
        boxes = boxes_px / stride
        left = boxes[:, 0].floor().long().clamp(0, width)
        top = boxes[:, 1].floor().long().clamp(0, height)
        right = boxes[:, 2].ceil().long().clamp(0, width)
        bottom = boxes[:, 3].ceil().long().clamp(0, height)
        one = torch.ones_like(boxes[:, 0])
        for y, x, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
            corners[image].index_put_((y, x), sign * one, accumulate=True)
    return corners.cumsum(1).cumsum(2)[:, None, :height, :width] > 0.5


def mask_loss(mask_logits: list[Tensor], targets: list[Target], strides: tuple[int, ...]) -> Tensor:
    """Mean over levels of binary cross-entropy plus dice loss (V-Net, arXiv:1606.04797); masks are (N, 1, H, W).

    Dice is there because foreground is a few per cent of the cells: cross-entropy alone learns an empty mask. A cell
    that overlaps an ignored region and no box is left out of both.
    """
    loss = mask_logits[0].new_zeros((), dtype=torch.float32)
    boxes = [target.boxes_xyxy_px for target in targets]
    ignored = [target.ignored_xyxy_px for target in targets]
    for logits, stride in zip(mask_logits, strides, strict=True):
        height, width = logits.shape[2:]
        is_object = covered_cells(boxes, height=height, width=width, stride=stride)
        counts = (is_object | ~covered_cells(ignored, height=height, width=width, stride=stride)).float()
        truth = is_object.float()
        logits = logits.float()
        mask = logits.sigmoid() * counts
        entropy = F.binary_cross_entropy_with_logits(logits, truth, counts, reduction="sum")
        entropy = shared_sum(entropy) / global_sum(counts.sum()).clamp(min=1)
        overlap, area = shared_sum((mask * truth).sum()), shared_sum(mask.square().sum()) + global_sum(truth.sum())
        loss = loss + entropy + 1 - (2 * overlap + 1) / (area + 1)
    return loss / len(mask_logits)
