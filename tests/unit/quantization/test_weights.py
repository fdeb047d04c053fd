from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tinydet.quantization.grid import WEIGHT_EPS, WEIGHT_MAX
from tinydet.quantization.weights import PerChannelSafeObserver, safe_magnitude

INT16_MAX = 2**15 - 1


def quantize(weight_oihw: Tensor) -> Tensor:
    scale = (safe_magnitude(weight_oihw) / WEIGHT_MAX)[:, None, None, None]
    return torch.round(weight_oihw / scale).to(torch.int32)


@pytest.mark.parametrize("shape", [(64, 48, 1, 1), (32, 3, 3, 3), (16, 8, 5, 5), (8, 7, 3, 3)])
def test_two_neighbouring_products_fit_16_bits(shape: tuple[int, int, int, int]) -> None:
    q = quantize(torch.randn(shape) ** 3)  # cubed: outliers, where full 8 bits overflow
    rows = q.permute(0, 2, 3, 1).flatten(1)
    pixels = 255 * torch.stack([rows[:, :-1].clamp(min=0) + rows[:, 1:].clamp(min=0)])
    assert pixels.max() <= INT16_MAX
    assert (255 * (rows[:, :-1].clamp(max=0) + rows[:, 1:].clamp(max=0))).min() >= -INT16_MAX - 1


def test_the_range_grows_only_where_a_pair_needs_it() -> None:
    lone = torch.tensor([[[[1.0]], [[-1.0]], [[0.0]], [[0.5]]]])  # neighbours of opposite sign never add up
    pair = torch.tensor([[[[1.0]], [[0.5]], [[0.0]], [[0.0]]]])
    assert safe_magnitude(lone).tolist() == [1.0]
    assert safe_magnitude(pair).tolist() == [1.5]


def test_depthwise_weights_keep_the_full_range() -> None:
    weight = torch.ones(4, 1, 3, 3)
    assert safe_magnitude(weight).tolist() == [1.0] * 4


def test_neighbours_are_input_channels_then_kernel_columns() -> None:
    weight = torch.zeros(1, 2, 1, 2)
    weight[0, 1, 0, 0] = weight[0, 0, 0, 1] = 1.0  # last channel of the first column, first channel of the second
    assert safe_magnitude(weight).tolist() == [2.0]
    weight = torch.zeros(1, 2, 1, 2)
    weight[0, 0, 0, 0] = weight[0, 0, 0, 1] = 1.0  # the other channel's weight lies between
    assert safe_magnitude(weight).tolist() == [1.0]


def test_a_dead_channel_has_a_scale_that_its_bias_survives() -> None:
    observer = PerChannelSafeObserver(
        dtype=torch.int8, quant_min=-127, quant_max=127, qscheme=torch.per_channel_symmetric, eps=WEIGHT_EPS
    )
    observer(torch.cat([torch.zeros(1, 4, 1, 1), torch.ones(1, 4, 1, 1)]))
    scale, zero_point = observer.calculate_qparams()
    assert scale.tolist() == pytest.approx([WEIGHT_EPS, 2 / WEIGHT_MAX])
    assert zero_point.tolist() == [0, 0]


def test_only_the_last_weights_count() -> None:
    observer = PerChannelSafeObserver(
        dtype=torch.int8, quant_min=-127, quant_max=127, qscheme=torch.per_channel_symmetric, eps=WEIGHT_EPS
    )
    observer(torch.full((1, 1, 1, 1), 5.0))
    observer(torch.full((1, 1, 1, 1), 1.0))
    scale, _ = observer.calculate_qparams()
    assert scale.tolist() == pytest.approx([1 / WEIGHT_MAX])
