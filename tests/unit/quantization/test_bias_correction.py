from __future__ import annotations

import pytest
import torch
from torch.fx import GraphModule
from torch.nn import functional as F

from tests.networks import INPUT_HW, detector, images
from tinydet.quantization.bias_correction import ConvolutionStatistics, correct_biases, mean_shift
from tinydet.quantization.export_graph import FlatOutputs, as_batch, capture
from tinydet.quantization.pt2e import convert_pt2e, prepare_pt2e
from tinydet.quantization.quantizer import EdgeQuantizer


@pytest.mark.parametrize(("groups", "group_channels"), [(1, 6), (6, 1), (2, 3)])
def test_the_shift_is_that_of_the_convolution_s_mean_output(groups: int, group_channels: int) -> None:
    weight_error = torch.randn(12, group_channels, 3, 3)
    x = torch.rand(2, 6, 1, 1).expand(2, 6, 5, 5)  # constant over space, so that every tap sees the same mean
    expected = F.conv2d(x, weight_error, groups=groups).mean(dim=(0, 2, 3))
    torch.testing.assert_close(mean_shift(weight_error, x.mean(dim=(0, 2, 3))), expected, rtol=1e-4, atol=1e-4)


@pytest.fixture
def calibrated() -> tuple[GraphModule, ConvolutionStatistics]:
    """A quantized detector before its biases are corrected."""
    observed = prepare_pt2e(capture(detector(), INPUT_HW), EdgeQuantizer())
    watch = ConvolutionStatistics(observed)
    with torch.no_grad():
        for image in images(4, seed=2):
            watch.run(as_batch(image))
    return convert_pt2e(observed), watch


def test_means_are_of_all_images(calibrated: tuple[GraphModule, ConvolutionStatistics]) -> None:
    _, watch = calibrated
    mean_rgb = torch.cat([as_batch(image) for image in images(4, seed=2)]).mean(dim=(0, 2, 3))
    torch.testing.assert_close(watch.input_sums["conv2d"] / watch.images, mean_rgb)
    assert len(watch.weights) == 78


@torch.no_grad()
def test_outputs_come_nearer_to_float_on_other_images(calibrated: tuple[GraphModule, ConvolutionStatistics]) -> None:
    graph, watch = calibrated
    x = torch.cat([as_batch(image) for image in images(4, seed=11)])
    wanted = FlatOutputs(detector())(x)

    def distance() -> float:
        return sum(float((got - want).abs().mean()) for got, want in zip(graph(x), wanted, strict=True))

    before = distance()
    correct_biases(graph, watch)
    assert distance() < 0.9 * before
