"""The grid's rules, one by one, on networks of a few operators."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.fx import GraphModule
from torch.nn import functional as F

from tinydet.quantization.pt2e import DEQUANTIZE, DEQUANTIZE_WEIGHT, QUANTIZE, convert_pt2e, prepare_pt2e
from tinydet.quantization.quantizer import CLAMPS, EdgeQuantizer

Grid = tuple[float, int]


class Toy(nn.Module):
    """Two convolutions to play with."""

    one: Tensor

    def __init__(self, body: Callable[[Toy, Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Conv2d(3, 4, 1)
        self.third = nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.register_buffer("one", torch.ones(1, 1, 1, 1))
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(self, x)
        return y


def quantized(body: Callable[[Toy, Tensor], Tensor]) -> GraphModule:
    x = torch.rand(2, 3, 8, 8)
    captured = torch.export.export(Toy(body).eval(), (x,)).module(check_guards=False)
    observed = prepare_pt2e(captured, EdgeQuantizer())
    observed(10 * x - 3)
    graph = convert_pt2e(observed)
    assert isinstance(graph, GraphModule)
    return graph


def grids(graph: GraphModule) -> dict[str, Grid]:
    """Grid of each quantized tensor, by the name of the operator that made it."""
    found = {}
    for node in graph.graph.nodes:
        if node.target == QUANTIZE:
            source, scale, zero_point, low, high, dtype = node.args
            assert (low, high, dtype) == (-128, 127, torch.int8)
            found[source.name] = (scale, zero_point)
    return found


def float_operands(graph: GraphModule) -> list[str]:
    """Operators with an operand that is on no grid; a ReLU6 has one where it is fused into what comes before it."""
    on_grid = (DEQUANTIZE, DEQUANTIZE_WEIGHT)
    return [
        node.name
        for node in graph.graph.nodes
        if str(node.target).startswith("aten.") and node.target not in CLAMPS
        for operand in node.all_input_nodes[:2]
        if operand.target not in on_grid
    ]


def test_every_operand_is_on_a_grid() -> None:
    graph = quantized(lambda toy, x: torch.sigmoid(toy.third(F.relu6(toy.first(x)))) * toy.second(x))
    assert float_operands(graph) == []


def test_the_image_is_on_the_grid_of_its_bytes() -> None:
    assert grids(quantized(lambda toy, x: toy.first(x)))["x"] == pytest.approx((1 / 255, -128), rel=1e-7)


def test_nothing_is_quantized_between_convolution_and_relu6() -> None:
    found = grids(quantized(lambda toy, x: toy.third(F.relu6(toy.norm(toy.first(x))))))
    assert set(found) == {"x", "relu6", "conv2d_1"}
    scale, zero_point = found["relu6"]
    assert zero_point == -128
    assert 255 * scale <= 6.0000001  # within [0, 6], or a runtime could not drop the ReLU6


def test_nothing_is_quantized_between_a_sum_and_its_relu6() -> None:
    found = grids(quantized(lambda toy, x: F.relu6(toy.first(x) + toy.second(x))))
    assert set(found) == {"x", "conv2d", "conv2d_1", "relu6"}


def test_a_convolution_read_twice_is_quantized_before_its_relu6() -> None:
    def body(toy: Toy, x: Tensor) -> Tensor:
        y: Tensor = toy.first(x)
        return F.relu6(y) + y

    assert {"conv2d", "relu6", "add"} <= set(grids(quantized(body)))


def test_a_sigmoid_has_the_grid_that_tflite_demands() -> None:
    assert grids(quantized(lambda toy, x: torch.sigmoid(toy.first(x))))["sigmoid"] == (1 / 256, -128)


def test_pooling_and_upsampling_keep_their_input_grid() -> None:
    found = grids(quantized(lambda toy, x: F.interpolate(F.max_pool2d(toy.first(x), 2), scale_factor=2.0)))
    assert found["conv2d"] == found["max_pool2d"] == found["upsample_nearest2d"]


def test_concatenated_tensors_share_one_grid() -> None:
    def body(toy: Toy, x: Tensor) -> Tensor:
        return torch.cat([F.max_pool2d(toy.second(x) * 3, 2), F.max_pool2d(toy.first(x), 2)], dim=1)

    found = grids(quantized(body))
    shared = {found[name] for name in ("conv2d_1", "mul", "max_pool2d", "max_pool2d_1", "cat") if name in found}
    assert len(shared) == 1


def test_a_sigmoid_cannot_share_its_grid() -> None:
    with pytest.raises(ValueError, match="whose grid is fixed"):
        quantized(lambda toy, x: torch.cat([torch.sigmoid(toy.first(x)), toy.second(x)], dim=1))


def test_a_constant_gets_the_grid_of_its_value() -> None:
    graph = quantized(lambda toy, x: torch.sigmoid(toy.first(x)) + toy.one)
    assert float_operands(graph) == []
    scale, zero_point = grids(graph)["add"]
    assert zero_point == -128
    assert 1 < 255 * scale <= 2


def test_weights_are_symmetric_by_channel() -> None:
    graph = quantized(lambda toy, x: toy.first(x))
    (node,) = [node for node in graph.graph.nodes if node.target == DEQUANTIZE_WEIGHT]
    weight, _, zero_point, axis, low, high, dtype = node.args
    assert (axis, low, high, dtype) == (0, -127, 127, torch.int8)
    assert not getattr(graph, zero_point.target).any()
    assert getattr(graph, weight.target).dtype == torch.int8


def test_an_operator_without_a_rule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no rule for aten.silu.default"):
        quantized(lambda toy, x: F.silu(toy.first(x)))
