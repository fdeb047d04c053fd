"""INT8 by calibration (post-training quantization): the ranges a float network shows on images decide the grid."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from edge.errors import InputError
from edge.letterbox import Image
from quantization.bias_correction import ConvolutionWatch, correct_biases
from quantization.calibration import CalibrationImages, Progress
from quantization.network import capture
from quantization.pt2e import convert_pt2e, prepare_pt2e
from quantization.quantizer import EdgeQuantizer
from quantization.quiet import quiet
from training.model import TinyDetector


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedNetwork:
    """A network on the INT8 grid, ready for the converters.

    graph: images (N, 3, H, W) float in [0, 1] to (logits, distances) of each level in turn, rounded to the INT8 grid
        after every operator: the reference that every target is compared with.
    method: how the ranges were found, `ptq`.
    calibration: which images they were found on (`CalibrationImages.as_metadata`).
    """

    graph: GraphModule
    input_hw: tuple[int, int]
    method: str
    calibration: dict[str, Any]


def quantize(
    model: TinyDetector, images: CalibrationImages, *, input_hw: tuple[int, int], progress: Progress | None = None
) -> QuantizedNetwork:
    """Calibrate `model` on `images`.

    Raises `InputError` when `input_hw` is no multiple of 64 or an image cannot be read.
    """
    graph = calibrate(model, images.letterboxed(input_hw, progress), input_hw=input_hw)
    return QuantizedNetwork(graph=graph, input_hw=input_hw, method="ptq", calibration=images.as_metadata())


def calibrate(model: TinyDetector, images: Iterable[Image], *, input_hw: tuple[int, int]) -> GraphModule:
    """`QuantizedNetwork.graph` with the ranges that `model` shows on `images`, each (H, W, 3) uint8 RGB of `input_hw`.

    Raises `InputError` when there is no image or `input_hw` is no multiple of 64.
    """
    with quiet():
        observed = prepare_pt2e(capture(model, input_hw), EdgeQuantizer())
    watch = ConvolutionWatch(observed)
    with torch.no_grad():
        for image in images:
            watch.run(as_batch(image))
    if watch.images == 0:
        raise InputError("calibration needs at least one image, got none")
    with quiet():
        graph = convert_pt2e(observed)
    assert isinstance(graph, GraphModule)
    correct_biases(graph, watch)
    return graph


def as_batch(image: Image) -> Tensor:
    """(H, W, 3) uint8 to the network's input (1, 3, H, W) float in [0, 1]."""
    return torch.from_numpy(image).permute(2, 0, 1)[None].contiguous().float().div(255.0)
