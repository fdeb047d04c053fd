"""Rules that translate each operator of a captured graph into ONNX nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch.fx import Node

from tinydet.converters.onnx_graph import Rule, Translation
from tinydet.quantization.pt2e import DEQUANTIZE, DEQUANTIZE_WEIGHT, QUANTIZE

aten = torch.ops.aten


def _convolution(graph: Translation, node: Node) -> str:
    x, weight, bias, stride, padding, dilation, groups = _arguments(node, None, (1, 1), (0, 0), (1, 1), 1, required=2)
    inputs = [graph.name_of(x), graph.name_of(weight)]
    if bias is not None:
        quantized = weight.target is DEQUANTIZE_WEIGHT and graph.quantizes_bias
        inputs.append(_int32_bias(graph, node, x, weight, bias) if quantized else graph.name_of(bias))
    return graph.add(node, "Conv", inputs, strides=stride, pads=[*padding, *padding], dilations=dilation, group=groups)


def _int32_bias(graph: Translation, node: Node, x: Node, weight: Node, bias: Node) -> str:
    """Write the bias on the accumulator's grid, input scale times weight scale: runtimes add it before they round."""
    input_scale: Any = x.args[1]
    scale = np.float32(input_scale) * graph.stored(weight.args[1]).astype(np.float32)
    steps = np.rint(graph.stored(bias).astype(np.float64) / scale)
    limit = np.iinfo(np.int32)
    if steps.min() < limit.min or steps.max() > limit.max:
        raise ValueError(f"the bias of {node.name} does not fit 32 bits at scale {scale.min():.3g}")
    name = f"{graph.scope(node)}.bias"
    inputs = [graph.target.constant(name, steps.astype(np.int32)), graph.target.constant(f"{name}_scale", scale)]
    return graph.add(node, "DequantizeLinear", inputs, axis=0)


def _relu6(graph: Translation, node: Node) -> str:
    return graph.add(node, "Clip", [graph.name_of(node.args[0]), graph.scalar(0.0), graph.scalar(6.0)])


def _clip(graph: Translation, node: Node) -> str:
    x, low, high = _arguments(node, -1.0, 1.0, required=1)
    return graph.add(node, "Clip", [graph.name_of(x), graph.scalar(low), graph.scalar(high)])


def _max_pool(graph: Translation, node: Node) -> str:
    x, kernel, stride, padding, dilation, ceil = _arguments(node, None, (0, 0), (1, 1), False, required=2)
    return graph.add(
        node,
        "MaxPool",
        [graph.name_of(x)],
        kernel_shape=kernel,
        strides=stride or kernel,
        pads=[*padding, *padding],
        dilations=dilation,
        ceil_mode=int(ceil),
    )


def _upsample(graph: Translation, node: Node) -> str:
    x, _, factors = node.args
    scale_h, scale_w = cast("Sequence[float]", factors)
    scales = np.array([1, 1, scale_h, scale_w], np.float32)
    return graph.add(
        node,
        "Resize",
        [graph.name_of(x), "", graph.target.constant(f"upsample_{scale_h:g}x{scale_w:g}", scales)],
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )


def _global_average(graph: Translation, node: Node) -> str:
    x, size = node.args
    if list(cast("Sequence[int]", size)) != [1, 1]:
        raise ValueError(f"only the global average has an ONNX rule, but {node.name} pools to {size}")
    return graph.add(node, "GlobalAveragePool", [graph.name_of(x)])


def _concat(graph: Translation, node: Node) -> str:
    parts, axis = _arguments(node, 0, required=1)
    return graph.add(node, "Concat", [graph.name_of(part) for part in parts], axis=axis)


def _elementwise(operator: str) -> Rule:
    def rule(graph: Translation, node: Node) -> str:
        return graph.add(node, operator, [graph.name_of(x) for x in node.args])

    return rule


def _quantize(graph: Translation, node: Node) -> str:
    x, scale, zero_point, *_ = node.args
    return graph.add(node, "QuantizeLinear", [graph.name_of(x), *graph.activation_grid(scale, zero_point)])


def _dequantize(graph: Translation, node: Node) -> str:
    x, scale, zero_point, *_ = node.args
    assert isinstance(x, Node)
    stored = x.op == "get_attr"  # a constant, such as FBSM's 1, that torchao has quantized already
    name = f"{graph.scope(node)}/constant"
    steps = graph.quantized_constant(x, name, scale, zero_point) if stored else graph.name_of(x)
    return graph.add(node, "DequantizeLinear", [steps, *graph.activation_grid(scale, zero_point)])


def _dequantize_weight(graph: Translation, node: Node) -> str:
    weight, scale, zero_point, axis, *_ = node.args
    assert not graph.stored(zero_point).any(), "weights are symmetric"
    name = f"{graph.scope(node)}.weight"
    inputs = [
        graph.target.constant(name, graph.stored(weight)),
        graph.target.constant(f"{name}_scale", graph.stored(scale)),
    ]
    return graph.add(node, "DequantizeLinear", inputs, axis=axis)


def _arguments(node: Node, *defaults: Any, required: int) -> list[Any]:
    """`node.args`, of which the first `required` are always given, completed from `defaults`."""
    given = list(node.args)
    return given + list(defaults[len(given) - required :])


RULES: dict[Any, Rule] = {
    aten.conv2d.default: _convolution,
    aten.hardtanh.default: _clip,
    aten.relu6.default: _relu6,
    aten.add.Tensor: _elementwise("Add"),
    aten.mul.Tensor: _elementwise("Mul"),
    aten.sigmoid.default: _elementwise("Sigmoid"),
    aten.adaptive_avg_pool2d.default: _global_average,
    aten.max_pool2d.default: _max_pool,
    aten.upsample_nearest2d.vec: _upsample,
    aten.cat.default: _concat,
    QUANTIZE: _quantize,
    DEQUANTIZE: _dequantize,
    DEQUANTIZE_WEIGHT: _dequantize_weight,
}
