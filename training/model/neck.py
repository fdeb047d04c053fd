"""The two necks: E-FPN-BS, and the plain FPN that is its baseline.

Pyramid levels and their strides: P2 (4) ... P6 (64).
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from tinydet.training.model.cem import ContextEnhancement
from tinydet.training.model.fbsm import ForegroundGate
from tinydet.training.model.layers import SeparableConv


class Pyramid(NamedTuple):
    """levels: (N, channels, H/stride, W/stride) each, finest first. masks: FBSM's logits (N, 1, ...) each, or empty."""

    levels: list[Tensor]
    masks: list[Tensor]


class EFPNBS(nn.Module):
    """Maps [C2, C3, C4, C5] to P2, P3, P4: top-down path with CEM's context, FBSM gates, an output convolution each.

    Without `cem`, C5 is not used; without `gates`, there are no masks. With `teacher` the gates' masks are trained, but
    multiply nothing.
    """

    def __init__(
        self,
        in_channels: list[int],
        channels: int,
        *,
        cem: ContextEnhancement | None,
        gates: list[ForegroundGate] | None,
        teacher: bool = False,
    ) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels[:3])
        self.cem = cem
        self.gates = nn.ModuleList(gates) if gates is not None else None
        self.teacher = teacher
        self.outputs = nn.ModuleList(SeparableConv(channels, channels) for _ in range(3))

    def forward(self, features: list[Tensor], *, masks: bool = True) -> Pyramid:
        """Without `masks`, those that multiply nothing are not computed."""
        c2, c3, c4, c5 = features
        p4 = self.laterals[2](c4)
        if self.cem is not None:
            p4 = p4 + self.cem(c5)
        p3 = self.laterals[1](c3) + upsample(p4)
        p2 = self.laterals[0](c2) + upsample(p3)
        levels, mask_logits = [p2, p3, p4], []
        if self.gates is not None and (masks or not self.teacher):
            gated = [gate(level) for gate, level in zip(self.gates, levels, strict=True)]
            mask_logits = [mask for _, mask in gated]
            if not self.teacher:
                levels = [level for level, _ in gated]
        return Pyramid([output(level) for output, level in zip(self.outputs, levels, strict=True)], mask_logits)


class PlainFPN(nn.Module):
    """Feature Pyramid Network (Lin et al., arXiv:1612.03144): [C2..C5] to P2..P6, a 3x3 output convolution each.

    P6 is P5 subsampled by 2, as in the paper. The baseline: its top levels have heads, for large objects.
    """

    def __init__(self, in_channels: list[int], channels: int) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in in_channels)
        self.outputs = nn.ModuleList(SeparableConv(channels, channels) for _ in range(5))

    def forward(self, features: list[Tensor], *, masks: bool = True) -> Pyramid:
        """There are no masks either way."""
        merged = [lateral(feature) for lateral, feature in zip(self.laterals, features, strict=True)]
        for level in (2, 1, 0):
            merged[level] = merged[level] + upsample(merged[level + 1])
        merged.append(F.max_pool2d(merged[3], 2, 2))
        return Pyramid([output(level) for output, level in zip(self.outputs, merged, strict=True)], [])


def upsample(x_nchw: Tensor) -> Tensor:
    """Double the size by nearest neighbour, the only upsampling that stays 8 bit in every runtime."""
    return F.interpolate(x_nchw, scale_factor=2.0, mode="nearest")
