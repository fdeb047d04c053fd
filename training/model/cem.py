"""CEM, the Context Enhancement Module: the idle top of the pyramid becomes context for the low levels.

The paper's abstract is the only source. The two branches are the paper's; every detail below is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ContextEnhancement(nn.Module):
    """C5 (N, C5, H/32, W/32) to context (N, channels, H/16, W/16), to be added to P4.

    Local branch: P5 and P6 are each compressed by 1x1, aligned to P4's size (nearest, which stays 8 bit in every
    runtime) and summed. Global branch: the sum's global average, 1x1, sigmoid, multiplied in per channel:

        local  = up2(conv1x1(C5)) + up4(conv1x1(P6)),   P6 = maxpool2(C5)
        output = local * sigmoid(conv1x1(mean_hw(local)))

    Added to P4 alone: the top-down path carries it on to P3 and P2, which is the same as adding it to each level
    because no convolution stands between the sums, and cheaper.
    """

    def __init__(self, c5_channels: int, channels: int) -> None:
        super().__init__()
        self.compress_p5 = nn.Conv2d(c5_channels, channels, 1)
        self.compress_p6 = nn.Conv2d(c5_channels, channels, 1)
        self.gate = nn.Conv2d(channels, channels, 1)

    def forward(self, c5_nchw: Tensor) -> Tensor:
        p5 = self.compress_p5(c5_nchw)
        p6 = self.compress_p6(F.max_pool2d(c5_nchw, 2, 2))
        local = F.interpolate(p5, scale_factor=2.0, mode="nearest") + F.interpolate(
            p6, scale_factor=4.0, mode="nearest"
        )
        return local * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(local, 1)))
