"""The quantizer: assigns a grid to every tensor of a captured graph."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.fx import GraphModule, Node

from tinydet.quantization.blocks import block_of
from tinydet.quantization.grid import IMAGE, SIGMOID, activation_spec, weight_spec
from tinydet.quantization.pt2e import (
    FixedQParamsQuantizationSpec,
    QuantizationAnnotation,
    QuantizationSpecBase,
    Quantizer,
    SharedQuantizationSpec,
)

aten = torch.ops.aten
CONVOLUTION = aten.conv2d.default
BATCH_NORM = aten.batch_norm.default
CONCAT = aten.cat.default
SIGMOID_OP = aten.sigmoid.default
CLAMPS = (aten.hardtanh.default, aten.relu6.default)  # nn.ReLU6 is captured as the former, F.relu6 as the latter
# Operators whose output needs a grid of its own.
ARITHMETIC = (aten.add.Tensor, aten.mul.Tensor, aten.adaptive_avg_pool2d.default)
# Operators that only move values: the output stays on the input's grid.
PASS_THROUGH = (aten.max_pool2d.default, aten.upsample_nearest2d.vec, CONCAT)
KNOWN = (CONVOLUTION, BATCH_NORM, SIGMOID_OP, *CLAMPS, *ARITHMETIC, *PASS_THROUGH)


class EdgeQuantizer(Quantizer):  # type: ignore[misc]  # torchao is not typed
    """Puts every tensor between the image and the outputs on the grid of `tinydet.quantization.grid`.

    An operator's output gets its grid where the runtime writes it: after BatchNorm and ReLU6, never between. Every
    input takes its producer's grid, so no tensor is requantized on its way. The operators of `float_blocks`
    (`tinydet.quantization.blocks`) stay float; their outputs to other blocks are put on the grid. With `finetuning` the
    prepared graph rounds to the grid; without, it only observes ranges, and is rounded when it is converted.
    """

    def __init__(self, *, float_blocks: Sequence[str] = (), finetuning: bool = False) -> None:
        super().__init__()
        self.activation = activation_spec(finetuning=finetuning)
        self.weight = weight_spec(finetuning=finetuning)
        self.float_blocks = frozenset(float_blocks)

    def annotate(self, model: GraphModule) -> GraphModule:
        """Annotate in topological order: a producer before its consumers."""
        for node in model.graph.nodes:
            if node.op == "placeholder":
                _annotate(node, output=IMAGE)
            elif node.op == "call_function" and not self._is_float(node):
                self._annotate_operator(node)
            elif node.op == "call_function" and any(not self._is_float(user) for user in node.users):
                _annotate(node, output=self.activation)
        return model

    def validate(self, model: GraphModule) -> None:
        """Raise `ValueError` for an operator without a rule: it would stay float in the middle of an INT8 graph."""
        for node in model.graph.nodes:
            if node.op == "call_function" and node.target not in KNOWN:
                raise ValueError(f"the INT8 grid has no rule for {node.target} ({node.name}): add one to {__name__}")

    def _annotate_operator(self, node: Node) -> None:
        if node.target == CONVOLUTION:
            x, weight = node.all_input_nodes[:2]
            self._annotate_chain(node, {x: SharedQuantizationSpec(x), weight: self.weight})
        elif node.target in ARITHMETIC or (node.target in CLAMPS and not _is_annotated(node)):
            self._annotate_chain(node, {x: self._operand(x) for x in node.all_input_nodes})
        elif node.target == SIGMOID_OP:
            x = node.all_input_nodes[0]
            _annotate(node, inputs={x: SharedQuantizationSpec(x)}, output=SIGMOID)
        elif node.target == CONCAT:
            _annotate_concat(node)
        elif node.target in PASS_THROUGH:
            x = node.all_input_nodes[0]
            _annotate(node, inputs={x: SharedQuantizationSpec(x)}, output=SharedQuantizationSpec(x))

    def _is_float(self, node: Node) -> bool:
        return node.op == "output" or block_of(node) in self.float_blocks

    def _annotate_chain(self, node: Node, inputs: dict[Node, QuantizationSpecBase]) -> None:
        """Annotate inputs at `node`, and the output after the BatchNorm and clamp that are fused into it."""
        tail = _fused_tail(node)
        if tail is node:
            _annotate(node, inputs=inputs, output=self.activation)
        else:
            _annotate(node, inputs=inputs)
            _annotate(tail, output=self.activation)

    def _operand(self, node: Node) -> QuantizationSpecBase:
        """Grid of an operand: its producer's; a constant has none and gets the grid its value needs."""
        return self.activation if node.op == "get_attr" else SharedQuantizationSpec(node)


def _is_annotated(node: Node) -> bool:
    return "quantization_annotation" in node.meta


def _annotate(
    node: Node, *, inputs: dict[Node, QuantizationSpecBase] | None = None, output: QuantizationSpecBase | None = None
) -> None:
    node.meta["quantization_annotation"] = QuantizationAnnotation(
        input_qspec_map=inputs or {}, output_qspec=output, _annotated=True
    )


def _annotate_concat(node: Node) -> None:
    """Put all producers and the result on one grid: no runtime concatenates across grids for free."""
    order = {other: position for position, other in enumerate(node.graph.nodes)}
    first, *others = sorted({_grid_owner(x) for x in node.all_input_nodes}, key=order.__getitem__)
    shared = SharedQuantizationSpec(first)
    for owner in (first, *others):
        annotation = owner.meta["quantization_annotation"]
        if isinstance(annotation.output_qspec, FixedQParamsQuantizationSpec):
            raise ValueError(f"{node.name} cannot put {owner.name}, whose grid is fixed, on one grid with others")
        if owner is not first:
            annotation.output_qspec = shared
    _annotate(node, inputs=dict.fromkeys(node.all_input_nodes, shared), output=shared)


def _grid_owner(node: Node) -> Node:
    """The operator whose annotation sets the grid of `node`'s output."""
    while node.target in PASS_THROUGH:
        node = node.all_input_nodes[0]
    return node


def _fused_tail(node: Node) -> Node:
    """Last node of `node` -> BatchNorm -> clamp, as far as that chain has no other consumer."""
    for followers in ((BATCH_NORM,), CLAMPS):
        user = _only_user(node)
        if user is not None and user.target in followers:
            node = user
    return node


def _only_user(node: Node) -> Node | None:
    users: Sequence[Node] = list(node.users)
    return users[0] if len(users) == 1 else None
