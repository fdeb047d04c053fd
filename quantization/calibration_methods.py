"""Which calibration method serves this network best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule

from tinydet.edge.detection.letterbox import Image
from tinydet.quantization.calibration import CalibrationImages
from tinydet.quantization.export_graph import FlatOutputs, as_batch, fold_batch_norm
from tinydet.quantization.ptq import Calibration, QuantizedNetwork, by_method
from tinydet.quantization.ranges import METHODS
from tinydet.training.model import TinyDetector

UNREACHED_DB = 90.0
"""Float arithmetic in another order leaves about 115 dB; 8 bits in a single block left at most 51 in `n`."""

Score = Callable[[QuantizedNetwork], float]


def compare_methods(
    calibration: Calibration, images: CalibrationImages, score: Score, *, margin: float
) -> tuple[QuantizedNetwork, dict[str, float]]:
    """The network by the method with the highest score, and the score of each.

    The first method, which clips nothing, is kept unless another is ahead by more than `margin`: less is chance.
    """
    networks = {method: by_method(calibration, images, method) for method in METHODS}
    scores = {method: score(network) for method, network in networks.items()}
    best = max(METHODS, key=lambda method: scores[method] + (margin if method == METHODS[0] else 0.0))
    return networks[best], scores


class OutputFidelity:
    """How much of the float network's raw outputs a graph keeps on some images, as SQNR in dB."""

    def __init__(self, model: TinyDetector, images: Iterable[Image]) -> None:
        network = FlatOutputs(fold_batch_norm(model)).eval()
        self.images = [as_batch(image) for image in images]
        with torch.no_grad():
            self.reference = [network(image) for image in self.images]

    @torch.no_grad()
    def sqnr_db(self, graph: GraphModule) -> float:
        """Signal to quantization noise, the mean over the outputs:   10 log10(sum(x^2) / sum((x - q)^2)),

        x about its mean over the images: an output's constant part says nothing about objects. Outputs that equal the
        float network's but for float rounding, because nothing rounded reaches them, are left out.
        """
        return mean_sqnr_db([graph(image) for image in self.images], self.reference)


def mean_sqnr_db(outputs: Sequence[Sequence[Tensor]], reference: Sequence[Sequence[Tensor]]) -> float:
    """As `OutputFidelity.sqnr_db`, of outputs by image."""
    ratios = []
    for got, want in zip(zip(*outputs, strict=True), zip(*reference, strict=True), strict=True):
        x, q = torch.cat(list(want)).double(), torch.cat(list(got)).double()
        signal = (x - x.mean(dim=(0, 2, 3), keepdim=True)).square().sum()
        ratios.append(10 * torch.log10(signal / (x - q).square().sum()).clamp(max=UNREACHED_DB))
    reached = [ratio for ratio in ratios if ratio < UNREACHED_DB]
    return float(torch.stack(reached).mean()) if reached else UNREACHED_DB
