"""The INT8 grid: which real numbers 8 bits stand for. real = scale * (q - zero_point).

It obeys the strictest target, TFLite, so that ONNX (as uint8, the same grid shifted by 128), OpenVINO and TFLite carry
the same scales bit for bit: activations int8 asymmetric, weights symmetric int8 per output channel.

An activation's range is the smallest and largest value seen while calibrating. On a half-trained `n` and photographs,
boxes then differ from float's by a mean of 0.17 px; with percentiles by 0.16 (99.999 %), 0.18 (99.99 %) and 0.64
(99.9 %), with the mean of each image's extremes by 0.21, with torchao's histogram by 0.19, which takes thrice the time.

A grid after ReLU6 ends where the observed values do, at 6 or below: it clips by itself, so runtimes drop the ReLU6.
"""

from __future__ import annotations

import torch

from quantization.pt2e import FixedQParamsQuantizationSpec, MinMaxObserver, QuantizationSpec
from quantization.weights import PerChannelSafeObserver

ACTIVATION_MIN, ACTIVATION_MAX = -128, 127
WEIGHT_MIN, WEIGHT_MAX = -127, 127
IMAGE_SCALE = 1.0 / 255.0  # a uint8 pixel is a grid point: quantizing the image loses nothing
SIGMOID_SCALE = 1.0 / 256.0  # what TFLite demands of a sigmoid's output
WEIGHT_EPS = 1e-5  # smallest weight scale; below it the int32 bias of a dead channel would overflow
ACTIVATION_EPS = 1e-4  # smallest activation scale, for the same reason


def fixed(scale: float) -> FixedQParamsQuantizationSpec:
    """A grid known beforehand: `scale` steps up from zero."""
    return FixedQParamsQuantizationSpec(
        dtype=torch.int8,
        scale=scale,
        zero_point=ACTIVATION_MIN,
        quant_min=ACTIVATION_MIN,
        quant_max=ACTIVATION_MAX,
        qscheme=torch.per_tensor_affine,
    )


ACTIVATION = QuantizationSpec(
    dtype=torch.int8,
    quant_min=ACTIVATION_MIN,
    quant_max=ACTIVATION_MAX,
    qscheme=torch.per_tensor_affine,
    observer_or_fake_quant_ctr=MinMaxObserver.with_args(eps=ACTIVATION_EPS),
)
WEIGHT = QuantizationSpec(
    dtype=torch.int8,
    quant_min=WEIGHT_MIN,
    quant_max=WEIGHT_MAX,
    qscheme=torch.per_channel_symmetric,
    ch_axis=0,
    observer_or_fake_quant_ctr=PerChannelSafeObserver.with_args(eps=WEIGHT_EPS),
)
IMAGE = fixed(IMAGE_SCALE)
SIGMOID = fixed(SIGMOID_SCALE)
