"""Compares calibration methods, and measures how well a quantized graph keeps the float network's raw outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule

from tinydet.edge.detection.letterbox import Image
from tinydet.quantization.calibration import CalibrationImages
from tinydet.quantization.export_graph import FlatOutputs, as_batch, fold_batch_norm
from tinydet.quantization.ptq import Calibration, QuantizedNetwork, quantized_network
from tinydet.quantization.ranges import METHODS
from tinydet.training.model import TinyDetector

FLOAT_ROUNDING_DB = 90.0
"""SQNR above which a difference is float rounding: that leaves about 115 dB, 8 bits in one block of `n` at most 51."""

Score = Callable[[QuantizedNetwork], float]


def compare_methods(
    calibration: Calibration, images: CalibrationImages, score: Score, *, margin: float
) -> tuple[QuantizedNetwork, dict[str, float]]:
    """Quantize by every method; returns the network with the highest score, and the scores by method.

    Min-max, which clips nothing, is kept unless another is ahead by more than `margin`: smaller differences are chance.
    """
    networks, scores = {}, {}
    for method in METHODS:
        networks[method] = quantized_network(calibration, images, method)
        scores[method] = score(networks[method])
    best = max(METHODS, key=lambda method: scores[method] + (margin if method == METHODS[0] else 0.0))
    return networks[best], scores


class OutputFidelity:
    """Compares a graph's raw outputs with the float network's on a few images."""

    def __init__(self, model: TinyDetector, images: Iterable[Image]) -> None:
        network = FlatOutputs(fold_batch_norm(model)).eval()
        self.images = [as_batch(image) for image in images]
        with torch.no_grad():
            self.reference = [network(image) for image in self.images]

    @torch.no_grad()
    def sqnr_db(self, graph: GraphModule) -> float:
        """Signal-to-quantization-noise ratio, the mean over the outputs:   10 log10(sum(x^2) / sum((x - q)^2)).

        The sum of x^2 is taken about its mean over the images: an output's constant part says nothing about objects.
        Outputs that equal the float network's but for float rounding, because no quantized value reaches them, are
        left out.
        """
        return mean_sqnr_db([graph(image) for image in self.images], self.reference)


def mean_sqnr_db(outputs: Sequence[Sequence[Tensor]], reference: Sequence[Sequence[Tensor]]) -> float:
    """SQNR as in `OutputFidelity.sqnr_db`, of outputs given image by image."""
    ratios = []
    for got, want in zip(zip(*outputs, strict=True), zip(*reference, strict=True), strict=True):
        x, q = torch.cat(list(want)).double(), torch.cat(list(got)).double()
        signal = (x - x.mean(dim=(0, 2, 3), keepdim=True)).square().sum()
        ratios.append(10 * torch.log10(signal / (x - q).square().sum()).clamp(max=FLOAT_ROUNDING_DB))
    reached = [ratio for ratio in ratios if ratio < FLOAT_ROUNDING_DB]
    return float(torch.stack(reached).mean()) if reached else FLOAT_ROUNDING_DB
