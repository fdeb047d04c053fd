"""Selecting blocks by name, and keeping them in float."""

from __future__ import annotations

import pytest
import torch
from torch.fx import GraphModule

from tests.networks import INPUT_HW, calibrated, detector, images
from tinydet.edge.errors import InputError
from tinydet.quantization.blocks import block_names, block_of, select_blocks
from tinydet.quantization.export_graph import FlatOutputs, as_batch, capture
from tinydet.quantization.pt2e import DEQUANTIZE_WEIGHT
from tinydet.quantization.ptq import Calibration
from tinydet.quantization.quantizer import CONVOLUTION


def with_float(*float_blocks: str) -> Calibration:
    return calibrated(detector(), images(2, seed=2), float_blocks=float_blocks)


def float_convolutions(graph: GraphModule) -> set[str | None]:
    """The blocks that have a convolution with float weights."""
    return {
        block_of(node)
        for node in graph.graph.nodes
        if node.target == CONVOLUTION and node.args[1].target != DEQUANTIZE_WEIGHT
    }


def test_blocks_have_the_names_people_know() -> None:
    names = block_names(capture(detector(), INPUT_HW))
    assert names[:2] == ["stem", "stages.0"]
    assert {"cem", "fbsm.0", "fbsm.1", "fbsm.2", "heads.0", "laterals.2", "merge"} <= set(names)


def test_a_name_without_number_selects_all_levels() -> None:
    known = ["stem", "fbsm.0", "fbsm.1", "fbsm.10"]
    assert select_blocks(known, ["fbsm"]) == ("fbsm.0", "fbsm.1", "fbsm.10")
    assert select_blocks(known, ["fbsm.1", "stem"]) == ("stem", "fbsm.1")


def test_an_unknown_block_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"no block is called 'neck': the network has stem, stages\.0"):
        Calibration(detector(), input_hw=INPUT_HW, float_blocks=["neck"])


def test_the_chosen_blocks_and_no_others_stay_float() -> None:
    calibration = with_float("cem", "fbsm.0")
    assert calibration.float_blocks == ("cem", "fbsm.0")
    graph = calibration.quantized_graph("min-max")
    assert float_convolutions(graph) == {"cem", "fbsm.0"}
    graph(as_batch(images(1)[0]))


def test_with_every_block_in_float_nothing_changes() -> None:
    names = tuple(block_names(capture(detector(), INPUT_HW)))
    graph = with_float(*names).quantized_graph("min-max")
    x = as_batch(images(1, seed=5)[0])
    with torch.no_grad():
        for got, want in zip(graph(x), FlatOutputs(detector())(x), strict=True):
            torch.testing.assert_close(got, want, rtol=1e-3, atol=1e-3)


def test_with_float_equals_a_new_calibration() -> None:
    derived, direct = with_float().with_float(["heads"]), with_float("heads")
    x = as_batch(images(1, seed=5)[0])
    for got, want in zip(derived.quantized_graph("mse")(x), direct.quantized_graph("mse")(x), strict=True):
        torch.testing.assert_close(got, want, rtol=0, atol=0)
