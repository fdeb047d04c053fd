"""Cost of a network before optimization: parameters and multiply-accumulates."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from tinydet.training.model.detector import TinyDetector


def count_parameters(model: TinyDetector) -> int:
    """Number of weights, biases and BatchNorm scales."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: TinyDetector, *, input_px: int) -> int:
    """Multiply-accumulates of the convolutions in inference for one image of `input_px` x `input_px`."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, input_px, input_px), masks=False)
    return int(counter.get_total_flops()) // 2
