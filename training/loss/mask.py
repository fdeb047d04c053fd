"""FBSM's supervision: the boxes say where foreground is."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from training.data.batch import Target


def foreground(targets: list[Target], *, height: int, width: int, stride: int) -> Tensor:
    """(N, 1, height, width) float: 1 where a cell of `stride` pixels overlaps a box, else 0.

    Each box adds +1 at its corners' cells and takes it back behind them; two running sums fill it (a summed-area
    table backwards), so that cost does not grow with box area.
    """
    corners = torch.zeros(len(targets), height + 1, width + 1, device=targets[0].boxes_xyxy_px.device)
    for image, target in enumerate(targets):
        boxes = target.boxes_xyxy_px / stride
        left = boxes[:, 0].floor().long().clamp(0, width)
        top = boxes[:, 1].floor().long().clamp(0, height)
        right = boxes[:, 2].ceil().long().clamp(0, width)
        bottom = boxes[:, 3].ceil().long().clamp(0, height)
        one = torch.ones_like(boxes[:, 0])
        for y, x, sign in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
            corners[image].index_put_((y, x), sign * one, accumulate=True)
    covered = corners.cumsum(1).cumsum(2)[:, None, :height, :width]
    return (covered > 0.5).float()


def mask_loss(mask_logits: list[Tensor], targets: list[Target], strides: tuple[int, ...]) -> Tensor:
    """Mean over levels of binary cross-entropy plus dice loss (V-Net, arXiv:1606.04797); masks are (N, 1, H, W).

    Dice, because foreground is a few per cent of the cells and cross-entropy alone settles on "nothing".
    """
    total = mask_logits[0].new_zeros((), dtype=torch.float32)
    for logits, stride in zip(mask_logits, strides, strict=True):
        truth = foreground(targets, height=logits.shape[2], width=logits.shape[3], stride=stride)
        logits = logits.float()
        mask = logits.sigmoid()
        dice = 1 - (2 * (mask * truth).sum() + 1) / (mask.square().sum() + truth.sum() + 1)
        total = total + F.binary_cross_entropy_with_logits(logits, truth) + dice
    return total / len(mask_logits)
