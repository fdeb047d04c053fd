"""Box similarities. Boxes are (..., 4) as left, top, right, bottom in pixels, and broadcast."""

from __future__ import annotations

import torch
from torch import Tensor

NWD_CONSTANT_PX = 12.7  # mean object size of AI-TOD, the constant of arXiv:2110.13389
EPS = 1e-7


def iou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Intersection over union in [0, 1]; boxes of negative width or height have area 0."""
    intersection = _area(
        torch.maximum(a_xyxy[..., :2], b_xyxy[..., :2]), torch.minimum(a_xyxy[..., 2:], b_xyxy[..., 2:])
    )
    union = _area(a_xyxy[..., :2], a_xyxy[..., 2:]) + _area(b_xyxy[..., :2], b_xyxy[..., 2:]) - intersection
    return intersection / (union + EPS)


def diou(a_xyxy: Tensor, b_xyxy: Tensor) -> Tensor:
    """Distance-IoU (Zheng et al., arXiv:1911.08287, eq. 7):   IoU - d^2 / c^2, in (-1, 1].

    d is the distance of the centres, c the diagonal of the smallest box around both. It has a gradient even without
    overlap, which is the rule for tiny objects at the start of training.
    """
    outer = torch.maximum(a_xyxy[..., 2:], b_xyxy[..., 2:]) - torch.minimum(a_xyxy[..., :2], b_xyxy[..., :2])
    centres = (a_xyxy[..., :2] + a_xyxy[..., 2:] - b_xyxy[..., :2] - b_xyxy[..., 2:]) / 2
    return iou(a_xyxy, b_xyxy) - centres.square().sum(-1) / (outer.square().sum(-1) + EPS)


def nwd(a_xyxy: Tensor, b_xyxy: Tensor, *, constant_px: float = NWD_CONSTANT_PX) -> Tensor:
    """Normalized Wasserstein distance (Wang et al., arXiv:2110.13389, eq. 7-8), 1 for equal boxes, towards 0 far away:

        exp(-W2 / C),   W2^2 = |c_a - c_b|^2 + |(w_a - w_b, h_a - h_b) / 2|^2

    A shift of one pixel changes it by the same amount for an object of 6 or of 60 pixels; IoU drops far more for the
    small one.
    """
    centres = (a_xyxy[..., :2] + a_xyxy[..., 2:] - b_xyxy[..., :2] - b_xyxy[..., 2:]) / 2
    half_sizes = (a_xyxy[..., 2:] - a_xyxy[..., :2] - b_xyxy[..., 2:] + b_xyxy[..., :2]) / 2
    squared = centres.square().sum(-1) + half_sizes.square().sum(-1)
    return torch.exp(-torch.sqrt(squared + EPS) / constant_px)


def _area(top_left: Tensor, bottom_right: Tensor) -> Tensor:
    return (bottom_right - top_left).clamp(min=0).prod(-1)
