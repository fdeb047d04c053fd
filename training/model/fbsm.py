"""FBSM, the Foreground-Background Separation Module. The paper's abstract has the idea; the layers are ours."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tinydet.training.model.layers import ConvBNAct

FOREGROUND_PRIOR = 0.02  # initial value of the mask: about the share of cells that objects cover


class ForegroundGate(nn.Module):
    """Maps P (N, C, H, W) to gated P and mask logits (N, 1, H, W):   m = sigmoid(conv1x1(dw3x3(P))),  P * (1 + m).

    Background features stay as they are, foreground features are doubled. The boxes supervise the mask logits
    (training/loss/mask.py), so the mask can be inspected. Its loss also improves P itself (docs/trials.md, "Mask loss
    that reaches the features"): as a teacher, the gate is trained but P is left as it is.
    """

    one: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = ConvBNAct(channels, channels, groups=channels)
        self.mask = nn.Conv2d(channels, 1, 1)
        nn.init.constant_(self.mask.bias, math.log(FOREGROUND_PRIOR / (1 - FOREGROUND_PRIOR)))  # type: ignore[arg-type]  # bias may be None
        # A buffer, not the Python number 1.0: a quantizer gives a buffer a grid; a number would leave a float addition.
        self.register_buffer("one", torch.ones(1, 1, 1, 1), persistent=False)

    def forward(self, p_nchw: Tensor) -> tuple[Tensor, Tensor]:
        mask_logits = self.mask(self.spatial(p_nchw))
        return p_nchw * (torch.sigmoid(mask_logits) + self.one), mask_logits
