"""Anchor-free heads; classes and boxes are separate tensors, so that each has its own 8-bit grid."""

from __future__ import annotations

import math

from torch import Tensor, nn

from tinydet.training.model.layers import ConvBNAct, SeparableConv

OBJECT_PRIOR = 0.01  # initial score of every cell (RetinaNet, arXiv:1708.02002, section 3.3)
INITIAL_DISTANCE = 1.5  # strides; half the side of a 12-pixel object on P2


class Head(nn.Module):
    """Maps a level (N, C, H, W) to class logits (N, classes, H, W) and distances (N, 4, H, W).

    Distances are left, top, right, bottom from the cell's centre in strides (FCOS, arXiv:1904.01355), linear: a
    negative distance puts the centre outside the box, which the few cells near a tiny object need.
    """

    def __init__(self, channels: int, classes: int, *, convs: int, decoupled: bool, dense: bool) -> None:
        super().__init__()
        self.class_tower = _tower(channels, convs, dense)
        self.box_tower = _tower(channels, convs, dense) if decoupled else None
        self.class_logits = nn.Conv2d(channels, classes, 1)
        self.distances = nn.Conv2d(channels, 4, 1)
        nn.init.normal_(self.class_logits.weight, std=0.01)
        nn.init.constant_(self.class_logits.bias, math.log(OBJECT_PRIOR / (1 - OBJECT_PRIOR)))  # type: ignore[arg-type]  # bias may be None
        nn.init.normal_(self.distances.weight, std=0.01)
        nn.init.constant_(self.distances.bias, INITIAL_DISTANCE)  # type: ignore[arg-type]  # bias may be None

    def forward(self, level_nchw: Tensor) -> tuple[Tensor, Tensor]:
        x_nchw = self.class_tower(level_nchw)
        y_nchw = x_nchw if self.box_tower is None else self.box_tower(level_nchw)
        return self.class_logits(x_nchw), self.distances(y_nchw)


def _tower(channels: int, convs: int, dense: bool) -> nn.Sequential:
    layer = ConvBNAct if dense else SeparableConv
    return nn.Sequential(*(layer(channels, channels) for _ in range(convs)))
