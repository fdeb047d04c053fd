"""FusedLite: EfficientNet-Lite redrawn for 8-bit inference on large frames.

At strides 2 to 8 a depthwise convolution does few multiplications for the memory it moves, and 8-bit multipliers wait.
There a plain 3x3 convolution replaces the expansion and the depthwise one (Fused-MBConv; EfficientNetV2,
arXiv:2104.00298, section 3.1). The stages after stride 8 are EfficientNet-Lite's, without its last blocks: no box is
assigned to the top, which is context only.
"""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from tinydet.training.model.efficientnet_lite import EfficientNetLite
from tinydet.training.model.layers import ConvBNAct, features_of

STEM_CHANNELS = 16
FUSED_STAGES = ((24, (64, 64)), (40, (96, 120)))  # out channels, hidden channels of each block; strides 4 and 8
KEPT_BLOCKS = (3, 2, 2, 1)  # of EfficientNet-Lite0's stages 3 to 6
FEATURE_STAGES = (0, 1, 3, 5)  # last stages at strides 4, 8, 16 and 32


class FusedMBConv(nn.Module):
    """Fused inverted residual: 3x3 convolution to `hidden` channels, project 1x1, add if shapes match."""

    def __init__(self, in_channels: int, out_channels: int, *, hidden: int, stride: int) -> None:
        super().__init__()
        self.expand = ConvBNAct(in_channels, hidden, stride=stride)
        self.project = ConvBNAct(hidden, out_channels, kernel=1, act=False)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x_nchw: Tensor) -> Tensor:
        y: Tensor = self.project(self.expand(x_nchw))
        return x_nchw + y if self.residual else y


class FusedLite(nn.Module):
    """Maps images (N, 3, H, W) in [0, 1] to [C2, C3, C4, C5], which have EfficientNet-Lite0's channels."""

    def __init__(self) -> None:
        super().__init__()
        lite = EfficientNetLite("lite0")
        self.channels = lite.channels
        self.stem = ConvBNAct(3, STEM_CHANNELS, stride=2)
        self.stages = nn.ModuleList()
        in_channels = STEM_CHANNELS
        for out_channels, hidden in FUSED_STAGES:
            self.stages.append(_fused_stage(in_channels, out_channels, hidden))
            in_channels = out_channels
        self.stages.extend(_first_blocks(lite))

    def copied_stages(self) -> list[nn.Module]:
        """The stages after stride 8, which EfficientNet-Lite0 has too."""
        return list(self.stages)[len(FUSED_STAGES) :]

    def copy_top(self, lite: EfficientNetLite) -> None:
        """Copy the weights of `copied_stages` from EfficientNet-Lite0."""
        for stage, source in zip(self.copied_stages(), _first_blocks(lite), strict=True):
            stage.load_state_dict(source.state_dict())

    def forward(self, x_nchw: Tensor) -> list[Tensor]:
        return features_of(self.stages, self.stem(x_nchw), of=FEATURE_STAGES)


def _fused_stage(in_channels: int, out_channels: int, hidden: Iterable[int]) -> nn.Sequential:
    """The first block halves the size."""
    stage = nn.Sequential()
    for index, channels in enumerate(hidden):
        stage.append(FusedMBConv(in_channels, out_channels, hidden=channels, stride=1 if index else 2))
        in_channels = out_channels
    return stage


def _first_blocks(lite: EfficientNetLite) -> list[nn.Sequential]:
    stages = list(lite.stages)[3:]
    return [nn.Sequential(*list(stage.children())[:count]) for stage, count in zip(stages, KEPT_BLOCKS, strict=True)]
