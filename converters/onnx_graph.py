"""Translates a captured graph (torch.fx) operator by operator into ONNX.

torch.onnx.export could do it, at a price: a quarter of a minute per file, stack traces of the exporting machine inside
it, meaningless names once a graph is quantized, and a global average in a form that no runtime computes in 8 bits. The
quantizer has a rule for every operator of the network anyway; this is the other half of its table.

Quantized tensors are written as uint8, the int8 grid shifted by 128, which is the form that ONNX Runtime fuses. A
target that needs another form overrides the methods of `Translation` for grids, the image and the outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from torch.fx import GraphModule, Node

from tinydet.quantization.export_graph import stored_tensor
from tinydet.quantization.grid import ACTIVATION_MIN, IMAGE_SCALE
from tinydet.quantization.pt2e import DEQUANTIZE

UINT8_SHIFT = 128
NCHW_TO_NHWC = (0, 2, 3, 1)
NHWC_TO_NCHW = (0, 3, 1, 2)

Array = npt.NDArray[Any]
Rule = Callable[["Translation", Node], str]
"""Writes the ONNX nodes that compute a node of the captured graph; returns the name of the output tensor."""
Rules = Mapping[Any, Rule]
"""Operator of a captured graph -> its rule."""


class OnnxGraph:
    """Nodes and constants of an ONNX graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._node_names: set[str] = set()

    def constant(self, name: str, value: Array) -> str:
        """Store a constant; returns the name to use as an input. Equal values under one name are stored once."""
        tensor = numpy_helper.from_array(np.asarray(value, order="C"), name)
        while name in self.constants and self.constants[name].SerializeToString() != tensor.SerializeToString():
            tensor.name = name = f"{name}'"
        self.constants[name] = tensor
        return name

    def add(
        self, operator: str, inputs: Sequence[str], name: str, *, output: str | None = None, **attributes: Any
    ) -> str:
        """Append a node called `name`, with a number if the name is taken; returns the name of its output."""
        unique, count = name, 1
        while unique in self._node_names:
            unique, count = f"{name}_{count}", count + 1
        self._node_names.add(unique)
        output = output or f"{unique}:0"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], name=unique, **attributes))
        return output


class Translation:
    """Walks a captured graph and writes its operators into `target`, each by its rule in `rules`."""

    opset = 21
    ir_version = 10  # came with opset 21; some runtimes that read the opset refuse newer ones
    quantizes_bias = True

    def __init__(self, module: GraphModule, target: OnnxGraph, rules: Rules) -> None:
        self.module = module
        self.target = target
        self.rules = rules
        self._tensor_names: dict[Node, str] = {}

    def translate(self, image: str, outputs: Sequence[str]) -> None:
        """Write the graph from the uint8 NHWC tensor `image` to the float NHWC tensors `outputs`.

        Raises `ValueError` for an operator without a rule.
        """
        (output_nodes,) = self.module.graph.output_node().args
        assert isinstance(output_nodes, (tuple, list))
        for node in self.module.graph.nodes:
            if node.op == "placeholder":
                self._tensor_names[node] = self._read_image(image)
            elif node.op == "call_function" and node not in output_nodes:
                self._tensor_names[node] = self._apply_rule(node)
        for node, name in zip(output_nodes, outputs, strict=True):
            self._write_output(node, name)

    def name_of(self, node: Any) -> str:
        """Name of the ONNX tensor with the value of `node`; a stored tensor is written as a constant."""
        if not isinstance(node, Node):
            raise ValueError(f"{node!r} is an operand: make it a buffer, or it stays float in an INT8 graph")
        if node.op == "get_attr":
            return self.target.constant(_without_root(str(node.target)), self.stored(node))
        return self._tensor_names[node]

    def stored(self, node: Any) -> Array:
        """Value of a `get_attr` node."""
        return np.asarray(stored_tensor(self.module, node).detach().numpy())

    def quantized_constant(self, node: Node, name: str, scale: Any, int8_zero_point: Any) -> str:
        """Write the int8 tensor of a `get_attr` node on the grid that `activation_grid` gives it."""
        return self.target.constant(name, (self.stored(node).astype(np.int16) + UINT8_SHIFT).astype(np.uint8))

    def scalar(self, value: float) -> str:
        """Write a float32 constant."""
        return self.target.constant(f"value_{value!r}", np.array(value, np.float32))

    def activation_grid(self, scale: Any, int8_zero_point: Any) -> tuple[str, str]:
        """Write scale and zero point of a tensor; the arguments are its int8 grid."""
        zero_point = int8_zero_point + UINT8_SHIFT
        return self.scalar(scale), self.target.constant(f"zero_point_{zero_point}", np.array(zero_point, np.uint8))

    def add(self, node: Node, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        """Append an ONNX node named after the module that `node` came from, such as `neck.cem.gate/Conv`."""
        return self.target.add(operator, inputs, f"{self.scope(node)}/{operator}", **attributes)

    def scope(self, node: Node) -> str:
        """Path of the module that `node` came from, such as `neck.cem.gate`.

        A quantizing node has its producer's path, or its consumer's where the producer is a stored tensor.
        """
        stack = node.meta.get("nn_module_stack")
        if stack:
            path, _ = list(stack.values())[-1]
            return _without_root(path)
        if node.op == "placeholder":
            return "image"
        source = node.all_input_nodes[0]
        return self.scope(next(iter(node.users)) if source.op == "get_attr" else source)

    def _read_image(self, image: str) -> str:
        """Convert the image to NCHW in [0, 1].

        By a dequantization rather than a cast and a product: it cancels out against the network's own quantization to
        the same grid, and the first convolution reads the image's bytes.
        """
        image_nchw = self.target.add("Transpose", [image], "image/Transpose", perm=NHWC_TO_NCHW)
        grid = self.activation_grid(IMAGE_SCALE, ACTIVATION_MIN)
        return self.target.add("DequantizeLinear", [image_nchw, *grid], "image/DequantizeLinear")

    def _write_output(self, node: Node, name: str) -> None:
        """Write an output as NHWC, transposed ahead of the dequantization, while a value is still one byte."""
        if node.target is DEQUANTIZE:
            steps, scale, zero_point, *_ = node.args
            steps_nhwc = self.add(node, "Transpose", [self.name_of(steps)], perm=NCHW_TO_NHWC)
            self.add(node, "DequantizeLinear", [steps_nhwc, *self.activation_grid(scale, zero_point)], output=name)
        else:
            self.add(node, "Transpose", [self._apply_rule(node)], perm=NCHW_TO_NHWC, output=name)

    def _apply_rule(self, node: Node) -> str:
        if node.target not in self.rules or node.kwargs:
            raise ValueError(f"no ONNX rule for {node.format_node()}: add one to tinydet.converters.onnx_rules")
        return self.rules[node.target](self, node)


def _without_root(path: str) -> str:
    """Remove the name that `FlatOutputs` gives the network."""
    return path.removeprefix("network.")
