"""CEM, the Context Enhancement Module: turns the top of the pyramid into context for the low levels.

The paper's abstract, the only source, names the two branches; every detail below is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ContextEnhancement(nn.Module):
    """Maps C5 (N, C5, H/32, W/32) to context (N, channels, H/16, W/16), which is added to P4.

    Local branch: a 1x1 convolution each compresses P5 and P6, nearest upsampling (8 bit in every runtime) aligns them
    to P4, and they are summed. Global branch: global average of the sum, 1x1 convolution, sigmoid, product per channel:

        local  = up2(conv1x1(C5)) + up4(conv1x1(P6)),   P6 = maxpool2(C5)
        output = local * sigmoid(conv1x1(mean_hw(local)))

    Only P4 receives it: the top-down path carries it to P3 and P2. With no convolution between the sums this equals
    adding it to each level, and costs less.
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
