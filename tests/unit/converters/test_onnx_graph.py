from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional as F

from tinydet.converters.onnx_graph import OnnxGraph, Translation
from tinydet.converters.onnx_rules import RULES
from tinydet.quantization.pt2e import convert_pt2e, prepare_pt2e
from tinydet.quantization.quantizer import EdgeQuantizer


class Root(nn.Module):
    """Named as `tinydet.quantization.export_graph.FlatOutputs` names it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.network(x),)


class Network(nn.Module):
    def __init__(self, body: Callable[[Network, Tensor], Tensor]) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.right = nn.Conv2d(3, 4, 1, bias=False)
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self, x)


def captured(body: Callable[[Network, Tensor], Tensor]) -> GraphModule:
    return torch.export.export(Root(Network(body)).eval(), (torch.rand(2, 3, 8, 8),)).module(check_guards=False)


def translated(graph: GraphModule) -> OnnxGraph:
    target = OnnxGraph()
    Translation(graph, target, RULES).translate("image", ["result"])
    return target


def test_nodes_and_weights_are_named_after_their_modules() -> None:
    target = translated(captured(lambda net, x: F.relu6(net.left(x))))
    assert [node.name for node in target.nodes] == [
        "image/Transpose",
        "image/DequantizeLinear",
        "left/Conv",
        "network/Clip",
        "network/Transpose",
    ]
    assert {"left.weight", "left.bias"} <= set(target.constants)


def test_repeated_names_are_numbered() -> None:
    target = translated(captured(lambda net, x: torch.sigmoid(torch.sigmoid(net.left(x)))))
    assert [node.name for node in target.nodes if node.op_type == "Sigmoid"] == ["network/Sigmoid", "network/Sigmoid_1"]


def test_a_convolution_without_bias_has_none() -> None:
    target = translated(captured(lambda net, x: net.right(x)))
    (convolution,) = [node for node in target.nodes if node.op_type == "Conv"]
    assert len(convolution.input) == 2


def test_int8_weights_and_bias_stand_for_the_original_ones() -> None:
    graph = captured(lambda net, x: net.left(x))
    weight, bias = (getattr(graph.network.left, name).detach().numpy().copy() for name in ("weight", "bias"))  # type: ignore[union-attr]  # fx modules are untyped
    observed = prepare_pt2e(graph, EdgeQuantizer())
    observed(torch.rand(2, 3, 8, 8))
    target = translated(convert_pt2e(observed))

    constants = {name: numpy_helper.to_array(tensor) for name, tensor in target.constants.items()}
    assert constants["left.weight"].dtype == np.int8
    weight_scale = constants["left.weight_scale"][:, None, None, None]
    np.testing.assert_allclose(constants["left.weight"] * weight_scale, weight, atol=float(weight_scale.max()))
    assert constants["left.bias"].dtype == np.int32
    np.testing.assert_allclose(constants["left.bias_scale"], constants["left.weight_scale"] / 255, rtol=1e-6)
    np.testing.assert_allclose(constants["left.bias"] * constants["left.bias_scale"], bias, atol=1e-4)


def test_a_bias_that_32_bits_cannot_hold_is_refused() -> None:
    graph = captured(lambda net, x: net.left(x))
    with torch.no_grad():
        graph.network.left.weight.zero_()  # type: ignore[union-attr, operator]  # fx modules are untyped
        graph.network.left.bias.fill_(1e5)  # type: ignore[union-attr, operator]  # fx modules are untyped
    observed = prepare_pt2e(graph, EdgeQuantizer())
    observed(torch.rand(2, 3, 8, 8))
    with pytest.raises(ValueError, match="does not fit 32 bits"):
        translated(convert_pt2e(observed))


def test_activations_are_uint8_and_outputs_are_transposed_as_bytes() -> None:
    observed = prepare_pt2e(captured(lambda net, x: net.left(x)), EdgeQuantizer())
    observed(torch.rand(2, 3, 8, 8))
    target = translated(convert_pt2e(observed))
    *_, transpose, dequantize = target.nodes
    assert (transpose.op_type, dequantize.op_type, dequantize.output[0]) == ("Transpose", "DequantizeLinear", "result")
    zero_points = [target.constants[n.input[2]].data_type for n in target.nodes if n.op_type == "QuantizeLinear"]
    assert zero_points == [onnx.TensorProto.UINT8] * 2


def test_equal_constants_are_stored_once_and_different_ones_apart() -> None:
    target = OnnxGraph()
    first = target.constant("a", np.array(1.0))
    assert target.constant("a", np.array(1.0)) == first
    second = target.constant("a", np.array(2.0))
    assert second != first
    assert target.constant("a", np.array(2.0)) == second
    assert len(target.constants) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (lambda net, x: F.silu(net.left(x)), "no ONNX rule for .*silu"),
        (lambda net, x: torch.add(net.left(x), net.left(x), alpha=2), "no ONNX rule for .*add"),
        (lambda net, x: net.left(x) + 1.0, "1.0 is an operand: make it a buffer"),
        (lambda net, x: F.adaptive_avg_pool2d(net.left(x), 2), "only the global average"),
    ],
)
def test_operators_without_a_rule_are_refused(body: Callable[[Network, Tensor], Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        translated(captured(body))
