from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.networks import INPUT_HW, detector
from tinydet.edge.errors import InputError
from tinydet.quantization.blocks import block_names
from tinydet.quantization.export_graph import FlatOutputs, capture, fold_batch_norm


@torch.no_grad()
def test_the_captured_graph_computes_the_same_for_any_batch() -> None:
    model = detector()
    graph = capture(model, INPUT_HW)
    for batch in (1, 3):
        x = torch.rand(batch, 3, *INPUT_HW)
        for captured, original in zip(graph(x), FlatOutputs(model)(x), strict=True):
            torch.testing.assert_close(captured, original, rtol=1e-4, atol=1e-4)


def test_outputs_are_level_by_level_and_without_masks() -> None:
    outputs = FlatOutputs(detector())(torch.rand(1, 3, *INPUT_HW))
    assert [tuple(output.shape[1:]) for output in outputs] == [
        (3, 32, 32),
        (4, 32, 32),
        (3, 16, 16),
        (4, 16, 16),
        (3, 8, 8),
        (4, 8, 8),
    ]


def test_folding_leaves_the_model_alone_and_no_batch_norm_behind() -> None:
    model = detector()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    folded = fold_batch_norm(model)
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_layers_that_no_output_reads_are_left_out() -> None:
    nodes = capture(detector(cem=False), INPUT_HW).graph.nodes
    count = sum(node.target == torch.ops.aten.conv2d.default for node in nodes)
    assert count == 78 - 3 - 15  # without CEM's own, and those of the two stages behind C4


def test_a_mask_that_only_teaches_is_left_out() -> None:
    """Every target, PTQ and QAT start from this graph: with a teacher it is that of a network without FBSM."""
    teacher, off = (capture(detector(fbsm=fbsm), INPUT_HW) for fbsm in ("teacher", "off"))
    operators = [[(node.op, node.name, str(node.target)) for node in graph.graph.nodes] for graph in (teacher, off)]
    assert operators[0] == operators[1]
    assert not [name for name in block_names(teacher) if name.startswith("fbsm")]


@pytest.mark.parametrize("input_hw", [(100, 128), (128, 100), (0, 0), (-64, 64)])
def test_sizes_that_do_not_divide_are_refused(input_hw: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="multiples of 64 px, got"):
        capture(detector(), input_hw)
