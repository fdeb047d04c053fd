"""ResNet-50 (He et al., arXiv:1512.03385; stride in the 3x3, as in torchvision), for comparison with papers."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from tinydet.training.model.layers import ConvBNAct

STAGE_WIDTHS = (64, 128, 256, 512)
STAGE_BLOCKS = (3, 4, 6, 3)
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1 reduce, 3x3, 1x1 expand, added to the shortcut."""

    def __init__(self, in_channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        out_channels = width * EXPANSION
        self.reduce = ConvBNAct(in_channels, width, kernel=1)
        self.spatial = ConvBNAct(width, width, stride=stride)
        self.expand = ConvBNAct(width, out_channels, kernel=1, act=False)
        keeps_shape = stride == 1 and in_channels == out_channels
        self.shortcut = (
            nn.Identity() if keeps_shape else ConvBNAct(in_channels, out_channels, kernel=1, stride=stride, act=False)
        )

    def forward(self, x_nchw: Tensor) -> Tensor:
        y_nchw: Tensor = self.expand(self.spatial(self.reduce(x_nchw)))
        return F.relu6(y_nchw + self.shortcut(x_nchw))


class ResNet50(nn.Module):
    """Maps images (N, 3, H, W) in [0, 1] to [C2, C3, C4, C5], which have `channels` channels.

    Activations are ReLU6, as in the other backbones, so that one quantizer serves every size.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvBNAct(3, 64, kernel=7, stride=2)
        self.stages = nn.ModuleList()
        in_channels = 64
        for index, (width, blocks) in enumerate(zip(STAGE_WIDTHS, STAGE_BLOCKS, strict=True)):
            stage = nn.Sequential()
            for block in range(blocks):
                stage.append(Bottleneck(in_channels, width, stride=2 if block == 0 and index > 0 else 1))
                in_channels = width * EXPANSION
            self.stages.append(stage)
        self.channels = [width * EXPANSION for width in STAGE_WIDTHS]

    def forward(self, x_nchw: Tensor) -> list[Tensor]:
        x_nchw = F.max_pool2d(self.stem(x_nchw), 3, 2, 1)
        features = []
        for stage in self.stages:
            x_nchw = stage(x_nchw)
            features.append(x_nchw)
        return features
