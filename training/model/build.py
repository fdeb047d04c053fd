"""Build a `TinyDetector` from its configuration: the only place that wires the parts."""

from __future__ import annotations

from torch import nn

from tinydet.training.model.cem import ContextEnhancement
from tinydet.training.model.config import ModelConfig
from tinydet.training.model.detector import TinyDetector
from tinydet.training.model.efficientnet_lite import EfficientNetLite
from tinydet.training.model.fbsm import ForegroundGate
from tinydet.training.model.fused_lite import FusedLite
from tinydet.training.model.head import Head
from tinydet.training.model.neck import EFPNBS, PlainFPN
from tinydet.training.model.resnet import ResNet50


def build_detector(config: ModelConfig) -> TinyDetector:
    """Build a detector with random weights."""
    backbone = _backbone(config.backbone)
    widths: list[int] = list(backbone.channels)
    neck: nn.Module
    if config.neck == "fpn":
        neck = PlainFPN(widths, config.channels)
    else:
        cem = ContextEnhancement(widths[3], config.channels) if config.cem else None
        gates = [ForegroundGate(config.channels) for _ in config.strides] if config.fbsm != "off" else None
        neck = EFPNBS(widths, config.channels, cem=cem, gates=gates, teacher=config.fbsm == "teacher")
    heads: list[nn.Module] = [
        Head(
            config.channels,
            len(config.class_names),
            convs=config.head_convs,
            decoupled=config.decoupled_head,
            dense=config.dense_head,
        )
        for _ in config.strides
    ]
    return TinyDetector(config, backbone, neck, heads)


def _backbone(name: str) -> EfficientNetLite | FusedLite | ResNet50:
    if name == "resnet50":
        return ResNet50()
    return FusedLite() if name == "fused0" else EfficientNetLite(name)
