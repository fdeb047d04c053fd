"""Convolution blocks of the network. Shapes: `x_nchw` is (batch, channels, height, width)."""

from __future__ import annotations

from collections.abc import Container, Iterable

from torch import Tensor, nn

BATCH_NORM_EPS = 1e-5  # torchao's QAT folding assumes exactly this value
BATCH_NORM_MOMENTUM = 0.03


class ConvBNAct(nn.Sequential):
    """Convolution without bias, BatchNorm, and ReLU6 if `act`.

    ReLU6, not SiLU: its output range is fixed at [0, 6], so an 8-bit runtime fuses it into the convolution.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPS, momentum=BATCH_NORM_MOMENTUM)
        if act:
            self.act = nn.ReLU6()


class SeparableConv(nn.Sequential):
    """Depthwise 3x3 then pointwise 1x1, each with BatchNorm and ReLU6."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.depthwise = ConvBNAct(in_channels, in_channels, groups=in_channels)
        self.pointwise = ConvBNAct(in_channels, out_channels, kernel=1)


def features_of(stages: Iterable[nn.Module], x_nchw: Tensor, *, of: Container[int]) -> list[Tensor]:
    """Run stages one after another; returns what those at the indices `of` give."""
    features = []
    for index, stage in enumerate(stages):
        x_nchw = stage(x_nchw)
        if index in of:
            features.append(x_nchw)
    return features
