"""Distillation: the float network's outputs as soft targets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F


def distillation_loss(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """Scalar loss between the raw outputs (logits, distances of each level in turn) of `student` and `teacher`.

    Classes: quality focal loss (as in training) towards the teacher's probabilities p. Boxes: L1 of the distances, in
    strides, weighted by the cell's largest p, because a box means something only where there is an object. Both are
    summed over cells and divided by the sum of those weights, a soft count of object cells.
    """
    classes, boxes, weights = [], [], []
    for level in range(0, len(student), 2):
        target = teacher[level].detach().sigmoid()
        gap = (target - student[level].sigmoid()).abs()
        entropy = F.binary_cross_entropy_with_logits(student[level], target, reduction="none")
        # Minus the teacher's own entropy, so that equal outputs cost nothing.
        own_entropy = F.binary_cross_entropy(target, target, reduction="none")
        classes.append((gap.square() * (entropy - own_entropy)).sum())
        weight = target.amax(dim=1, keepdim=True)
        boxes.append((weight * (student[level + 1] - teacher[level + 1].detach()).abs()).sum())
        weights.append(weight.sum())
    return (torch.stack(classes).sum() + torch.stack(boxes).sum()) / torch.stack(weights).sum().clamp(min=1.0)
