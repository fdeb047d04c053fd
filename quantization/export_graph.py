"""The network as exporters take it: a flat graph of tensors, with BatchNorm folded into the convolutions."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tinydet.edge.detection.letterbox import Image
from tinydet.edge.errors import InputError
from tinydet.quantization.torch_logging import quiet_torch
from tinydet.training.model import SIZE_MULTIPLE, TinyDetector
from tinydet.training.model.layers import ConvBNAct

MAX_BATCH = 64


class FlatOutputs(nn.Module):
    """Images (N, 3, H, W) float in [0, 1] to logits and distances of each level in turn, (N, C, H/stride, W/stride).

    FBSM's mask logits, which only the loss reads, are left out, and so are masks that multiply nothing.
    """

    def __init__(self, network: TinyDetector) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_nchw: Tensor) -> tuple[Tensor, ...]:
        raw = self.network(images_nchw, masks=False)
        return tuple(tensor for pair in zip(raw.logits, raw.distances, strict=True) for tensor in pair)


def capture(model: TinyDetector, input_hw: tuple[int, int]) -> GraphModule:
    """Capture `FlatOutputs(model)` in eval mode as a graph, for images of `input_hw` in batches of 1 to `MAX_BATCH`.

    `model` itself is not changed. Raises `InputError` when a side of `input_hw` is not a multiple of 64.
    """
    check_input_hw(input_hw)
    flat = FlatOutputs(fold_batch_norm(model)).eval()
    example = torch.zeros(2, 3, *input_hw)
    batch = torch.export.Dim("batch", min=1, max=MAX_BATCH)
    with quiet_torch():
        program = torch.export.export(flat, (example,), dynamic_shapes=({0: batch},))
    graph_module = program.module(check_guards=False)
    assert isinstance(graph_module, GraphModule)
    graph_module.graph.eliminate_dead_code()  # such as the last stages of a backbone without CEM
    graph_module.recompile()
    return graph_module


def check_input_hw(input_hw: tuple[int, int]) -> None:
    """Raise `InputError` when a side is not a multiple of 64."""
    if any(side <= 0 or side % SIZE_MULTIPLE for side in input_hw):
        height, width = input_hw
        raise InputError(f"the input's sides have to be multiples of {SIZE_MULTIPLE} px, got {width}x{height}")


def fold_batch_norm(model: TinyDetector) -> TinyDetector:
    """Copy `model` to the CPU, in eval mode, with every BatchNorm folded into its convolution."""
    folded = copy.deepcopy(model).cpu().eval()
    for layer in folded.modules():
        if isinstance(layer, ConvBNAct):
            layer.conv = fuse_conv_bn_eval(layer.conv, layer.bn)
            layer.register_module("bn", nn.Identity())
    return folded


def stored_tensor(graph: GraphModule, node: Any) -> Tensor:
    """The tensor that a `get_attr` node of `graph` reads."""
    assert isinstance(node, Node)
    value: Any = graph
    for part in str(node.target).split("."):
        value = getattr(value, part)
    assert isinstance(value, Tensor)
    return value


def as_batch(image: Image) -> Tensor:
    """Convert an image (H, W, 3) uint8 to the network's input (1, 3, H, W) float in [0, 1]."""
    return torch.from_numpy(image).permute(2, 0, 1)[None].contiguous().float().div(255.0)
