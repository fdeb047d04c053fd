"""Prepares a graph for litert-torch, and reads the operators of the TFLite file that it writes."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ai_edge_litert import schema_py_generated as schema
from torch import Tensor, nn
from torch.fx import GraphModule

from tinydet.quantization.export_graph import stored_tensor
from tinydet.quantization.pt2e import DEQUANTIZE, DEQUANTIZE_WEIGHT, QUANTIZE, QUANTIZE_WEIGHT
from tinydet.quantization.torch_logging import quiet_torch

OPERATOR_NAMES = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
INT8, INT32 = schema.TensorType.INT8, schema.TensorType.INT32
FLOAT_TYPES = (schema.TensorType.FLOAT32, schema.TensorType.FLOAT16)
CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
WEIGHT_OPERAND = 1


class NhwcInterface(nn.Module):
    """A captured graph with the artifact's interface: image (1, H, W, 3) float in [0, 1] to raw outputs by name, NHWC.

    The converter works in NHWC, so these permutations cancel its own.
    """

    def __init__(self, graph: GraphModule, output_names: Sequence[str]) -> None:
        super().__init__()
        self.captured = graph
        self.output_names = tuple(output_names)
        self.training = False  # eval() is refused by captured graphs: they stay in the mode they were captured in

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        outputs = self.captured(image.permute(0, 3, 1, 2))
        return {name: output.permute(0, 2, 3, 1) for name, output in zip(self.output_names, outputs, strict=True)}


def with_float_constants(graph: GraphModule) -> GraphModule:
    """Copy a quantized `graph` with each int8 constant replaced by a float one and a quantization: the same values.

    litert-torch recognizes a quantized constant by this pair of operators only; torchao has folded the first away.
    """
    with quiet_torch():
        graph = copy.deepcopy(graph)
    for node in list(graph.graph.nodes):
        if node.target not in (DEQUANTIZE, DEQUANTIZE_WEIGHT) or node.args[0].op != "get_attr":
            continue
        steps, *grid = node.args
        if node.target is DEQUANTIZE:
            quantize, real = QUANTIZE, DEQUANTIZE(stored_tensor(graph, steps), *grid)
        else:
            scale, zero_point, *rest = grid
            stored = (stored_tensor(graph, steps), stored_tensor(graph, scale), stored_tensor(graph, zero_point))
            quantize, real = QUANTIZE_WEIGHT, DEQUANTIZE_WEIGHT(*stored, *rest)
        name = f"{node.name}_constant"
        graph.register_buffer(name, real)
        with graph.graph.inserting_before(node):
            node.update_arg(0, graph.graph.call_function(quantize, (graph.graph.get_attr(name), *grid)))
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


class Operator(NamedTuple):
    """One operator of a TFLite file. inputs, outputs: its tensors (`TensorT`), without those left out."""

    name: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]

    @property
    def activations(self) -> tuple[Any, ...]:
        """Inputs and outputs, without a convolution's weight and bias."""
        inputs = self.inputs[:WEIGHT_OPERAND] if self.name in CONVOLUTIONS else self.inputs
        return (*inputs, *self.outputs)


def operators(content: bytes) -> Iterator[Operator]:
    """Yield the operators of a TFLite model."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    (graph,) = model.subgraphs
    for operator in graph.operators:
        inputs, outputs = (
            tuple(graph.tensors[index] for index in indices if index >= 0)
            for indices in (operator.inputs, operator.outputs)
        )
        yield Operator(OPERATOR_NAMES[model.operatorCodes[operator.opcodeIndex].builtinCode], inputs, outputs)
