"""Bias correction: takes back the shift that rounded weights put on a convolution's mean output.

A depthwise filter has nine weights and its inputs, out of a ReLU6, are all of one sign: rounding errors do not cancel,
they shift whole channels. The shift is known while calibrating, and the bias can take it back for nothing:

    bias' = bias - sum over inputs and taps of (quantized weight - weight) * mean input

Source: Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", arXiv:1906.04721,
section 4.2, with means from images instead of from BatchNorm. Our own simplification: the means ignore zero padding.

Measured on a half-trained `n` and aerial photographs: on average, boxes of INT8 differ from float's by 0.16 px instead
of 0.23 px; AP 51.5 instead of 51.0, float has 51.3.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule, Interpreter, Node

from tinydet.quantization.export_graph import stored_tensor
from tinydet.quantization.pt2e import DEQUANTIZE_WEIGHT
from tinydet.quantization.quantizer import CONVOLUTION


class ConvolutionStatistics(Interpreter):
    """Runs a graph in float and records the weights and mean inputs of its convolutions, by node name.

    weights: (O, I / groups, kH, kW) each.
    input_sums: (I,) each; the means over height and width, summed over all images run.
    images: number of images run.
    """

    def __init__(self, module: GraphModule) -> None:
        super().__init__(module)
        self.weights: dict[str, Tensor] = {}
        self.input_sums: dict[str, Tensor] = {}
        self.images = 0

    def run(self, images_nchw: Tensor) -> Any:  # type: ignore[override]  # the base takes any arguments
        """Run the graph on a batch; returns its outputs."""
        self.images += len(images_nchw)
        return super().run(images_nchw)

    def run_node(self, node: Node) -> Any:
        """Run one node; `run` calls this for each in turn."""
        if node.target == CONVOLUTION:
            (x, weight, *_), _ = self.fetch_args_kwargs_from_env(node)
            self.weights[node.name] = weight.detach()
            self.input_sums[node.name] = self.input_sums.get(node.name, 0.0) + x.mean(dim=(2, 3)).sum(dim=0)
        return super().run_node(node)


@torch.no_grad()
def correct_biases(quantized: GraphModule, statistics: ConvolutionStatistics) -> None:
    """Correct the biases of `quantized` in place; `statistics` come from the graph it was converted from."""
    for node in quantized.graph.nodes:
        is_rounded = node.target == CONVOLUTION and node.args[1].target == DEQUANTIZE_WEIGHT
        if is_rounded and len(node.args) > 2 and node.args[2] is not None:
            weight_error = _dequantized_weight(quantized, node.args[1]) - statistics.weights[node.name]
            mean_input = statistics.input_sums[node.name] / statistics.images
            bias = stored_tensor(quantized, node.args[2])
            bias.sub_(mean_shift(weight_error, mean_input))


def mean_shift(weight_error_oihw: Tensor, mean_input: Tensor) -> Tensor:
    """Shift (O,) of the mean output that `weight_error_oihw` (O, I / groups, kH, kW) causes at the mean input (I,)."""
    out_channels, group_channels = weight_error_oihw.shape[:2]
    groups = len(mean_input) // group_channels
    by_group = mean_input.reshape(groups, 1, group_channels).expand(groups, out_channels // groups, group_channels)
    return (weight_error_oihw.sum(dim=(2, 3)) * by_group.reshape(out_channels, group_channels)).sum(dim=1)


def _dequantized_weight(graph: GraphModule, node: Node) -> Tensor:
    """The real numbers that a quantized weight stands for."""
    steps, scale, _, axis, *_ = node.args
    assert axis == 0
    return stored_tensor(graph, steps).float() * stored_tensor(graph, scale).float()[:, None, None, None]
