"""The INT8 grid, the real numbers that 8 bits stand for: real = scale * (q - zero_point).

It obeys the strictest target, TFLite, so that ONNX (as uint8, the same grid shifted by 128), OpenVINO and TFLite carry
the same scales bit for bit: activations int8 asymmetric, weights symmetric int8 per output channel.

The range of each activation comes from `tinydet.quantization.ranges`.

A grid after ReLU6 ends at the largest observed value, at 6 or below: it clips by itself, so runtimes drop the ReLU6.
"""

from __future__ import annotations

import torch

from tinydet.quantization.pt2e import (
    FakeQuantize,
    FixedQParamsQuantizationSpec,
    MovingAverageMinMaxObserver,
    QuantizationSpec,
)
from tinydet.quantization.ranges import RangeObserver
from tinydet.quantization.weights import PerChannelSafeObserver

ACTIVATION_MIN, ACTIVATION_MAX = -128, 127
WEIGHT_MIN, WEIGHT_MAX = -127, 127
IMAGE_SCALE = 1.0 / 255.0  # a uint8 pixel is a grid point: quantizing the image loses nothing
SIGMOID_SCALE = 1.0 / 256.0  # TFLite demands this of a sigmoid's output
WEIGHT_EPS = 1e-5  # smallest weight scale; below it the int32 bias of a dead channel would overflow
ACTIVATION_EPS = 1e-4  # smallest activation scale, for the same reason
RANGE_AVERAGING = 0.01  # weight of a batch's extremes in the moving average of a range while fine-tuning


def fixed_spec(scale: float) -> FixedQParamsQuantizationSpec:
    """A fixed grid: steps of `scale` from zero upwards."""
    return FixedQParamsQuantizationSpec(
        dtype=torch.int8,
        scale=scale,
        zero_point=ACTIVATION_MIN,
        quant_min=ACTIVATION_MIN,
        quant_max=ACTIVATION_MAX,
        qscheme=torch.per_tensor_affine,
    )


def activation_spec(*, finetuning: bool = False) -> QuantizationSpec:
    """Grid of an activation: its range is observed while calibrating, a moving average while fine-tuning."""
    observer = (
        FakeQuantize.with_args(
            observer=MovingAverageMinMaxObserver, averaging_constant=RANGE_AVERAGING, eps=ACTIVATION_EPS
        )
        if finetuning
        else RangeObserver.with_args(eps=ACTIVATION_EPS)
    )
    return QuantizationSpec(
        dtype=torch.int8,
        quant_min=ACTIVATION_MIN,
        quant_max=ACTIVATION_MAX,
        qscheme=torch.per_tensor_affine,
        observer_or_fake_quant_ctr=observer,
    )


def weight_spec(*, finetuning: bool = False) -> QuantizationSpec:
    """Grid of a convolution's weights: one scale per output channel."""
    # Plain FakeQuantize: torchao's fused one gives channels of a single sign a wrong zero point.
    observer = (
        FakeQuantize.with_args(observer=PerChannelSafeObserver, eps=WEIGHT_EPS)
        if finetuning
        else PerChannelSafeObserver.with_args(eps=WEIGHT_EPS)
    )
    return QuantizationSpec(
        dtype=torch.int8,
        quant_min=WEIGHT_MIN,
        quant_max=WEIGHT_MAX,
        qscheme=torch.per_channel_symmetric,
        ch_axis=0,
        observer_or_fake_quant_ctr=observer,
    )


IMAGE = fixed_spec(IMAGE_SCALE)
SIGMOID = fixed_spec(SIGMOID_SCALE)
