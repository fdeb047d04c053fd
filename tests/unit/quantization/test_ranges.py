"""Ranges by the three calibration methods."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tinydet.quantization.ranges import METHODS, RangeObserver


def observer(*parts: Tensor) -> RangeObserver:
    made = RangeObserver(
        dtype=torch.int8, quant_min=-128, quant_max=127, qscheme=torch.per_tensor_affine, eps=torch.tensor(1e-4).item()
    )
    for part in parts:
        made(part)
    return made


def rounding_error(values: Tensor, low: float, high: float) -> float:
    """Mean squared error of 8 bits over [low, high], zero included."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = (high - low) / 255
    rounded = ((values.clamp(low, high) - low) / step).round() * step + low
    return float((rounded - values).square().mean())


def test_min_max_is_the_observed_range() -> None:
    assert observer(torch.tensor([-1.5, 0.25]), torch.tensor([3.0])).range_by("min-max") == (-1.5, 3.0)


def test_the_order_of_images_does_not_matter() -> None:
    parts = [scale * torch.randn(10_000) for scale in (0.01, 30.0, 1.0)]
    forwards, backwards = observer(*parts), observer(*parts[::-1])
    for method in ("min-max", "percentile"):
        assert forwards.range_by(method) == pytest.approx(backwards.range_by(method), abs=2 * forwards.reach / 8192)
    assert forwards.counts.sum() == backwards.counts.sum() == 30_000


def test_one_outlier_is_clipped_by_percentile_and_mse() -> None:
    values = torch.cat([torch.rand(100_000), torch.tensor([60.0])])
    watched = observer(values)
    assert watched.range_by("min-max")[1] == 60.0
    assert watched.range_by("percentile")[1] == pytest.approx(1.0, abs=0.05)
    low, high = watched.range_by("mse")
    assert rounding_error(values, low, high) <= rounding_error(values, *watched.range_by("min-max"))


@pytest.mark.parametrize("scale", [0.1, 1.0, 50.0])
def test_mse_rounds_best(scale: float) -> None:
    values = scale * torch.distributions.Laplace(0.0, 1.0).sample((200_000,))
    watched = observer(values)
    errors = {method: rounding_error(values, *watched.range_by(method)) for method in METHODS}
    assert errors["mse"] < 0.9 * errors["min-max"]
    assert errors["mse"] <= 1.05 * min(errors.values())


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_keeps_its_value(method: str) -> None:
    low, high = observer(torch.ones(1)).range_by(method)
    assert low <= 1.0 <= high
    assert high == pytest.approx(1.0, rel=1e-6)


def test_an_unknown_method_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected a method of min-max, percentile, mse"):
        observer(torch.ones(1)).range_by("median")
