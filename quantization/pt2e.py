"""The parts of torchao's PT2E that are used here, imported quietly: the import itself logs about CUDA extensions."""

from __future__ import annotations

import torch

from tinydet.quantization.torch_logging import quiet_torch

with quiet_torch():
    from torchao.quantization.pt2e import (
        FakeQuantize,
        MinMaxObserver,
        MovingAverageMinMaxObserver,
        PerChannelMinMaxObserver,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e, prepare_qat_pt2e
    from torchao.quantization.pt2e.quantizer import (
        FixedQParamsQuantizationSpec,
        QuantizationAnnotation,
        QuantizationSpec,
        QuantizationSpecBase,
        Quantizer,
        SharedQuantizationSpec,
    )

# The operators of a converted graph: (x, scale, zero_point, low, high, dtype), weights with an axis in between.
QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
DEQUANTIZE = torch.ops.quantized_decomposed.dequantize_per_tensor.default
QUANTIZE_WEIGHT = torch.ops.quantized_decomposed.quantize_per_channel.default
DEQUANTIZE_WEIGHT = torch.ops.quantized_decomposed.dequantize_per_channel.default

__all__ = [
    "DEQUANTIZE",
    "DEQUANTIZE_WEIGHT",
    "QUANTIZE",
    "QUANTIZE_WEIGHT",
    "FakeQuantize",
    "FixedQParamsQuantizationSpec",
    "MinMaxObserver",
    "MovingAverageMinMaxObserver",
    "PerChannelMinMaxObserver",
    "QuantizationAnnotation",
    "QuantizationSpec",
    "QuantizationSpecBase",
    "Quantizer",
    "SharedQuantizationSpec",
    "convert_pt2e",
    "prepare_pt2e",
    "prepare_qat_pt2e",
]
