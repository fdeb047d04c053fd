"""What a network costs before anybody has optimized it."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from tinydet.training.model.detector import TinyDetector


def count_parameters(model: TinyDetector) -> int:
    """Weights, biases and BatchNorm's scales."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: TinyDetector, *, input_px: int) -> int:
    """Multiply-accumulates of convolutions for one square image of `input_px`."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, input_px, input_px))
    return int(counter.get_total_flops()) // 2
