"""The network: backbone, neck, one head per detection level."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from tinydet.training.model.config import ModelConfig
from tinydet.training.model.neck import Pyramid

SIZE_MULTIPLE = 64  # stride of P6: sides that it does not divide would misalign CEM's maps


class RawOutputs(NamedTuple):
    """Raw outputs of the network, finest level first.

    logits: (N, classes, H/stride, W/stride) each.
    distances: (N, 4, H/stride, W/stride) each: left, top, right, bottom in strides of the level.
    masks: FBSM's foreground logits (N, 1, H/stride, W/stride) each, or empty.
    """

    logits: list[Tensor]
    distances: list[Tensor]
    masks: list[Tensor]


class TinyDetector(nn.Module):
    """Maps images (N, 3, H, W) float in [0, 1], H and W multiples of 64, to `RawOutputs`; see `build_detector`."""

    def __init__(self, config: ModelConfig, backbone: nn.Module, neck: nn.Module, heads: list[nn.Module]) -> None:
        super().__init__()
        self.config = config
        self.backbone = backbone
        self.neck = neck
        self.heads = nn.ModuleList(heads)

    def forward(self, images_nchw: Tensor, *, masks: bool = True) -> RawOutputs:
        """Without `masks`, as in inference, FBSM's masks that are only trained (`teacher`) are not computed."""
        pyramid: Pyramid = self.neck(self.backbone(images_nchw), masks=masks)
        logits, distances = [], []
        for head, level in zip(self.heads, pyramid.levels, strict=True):
            level_logits, level_distances = head(level)
            logits.append(level_logits)
            distances.append(level_distances)
        return RawOutputs(logits, distances, pyramid.masks)
