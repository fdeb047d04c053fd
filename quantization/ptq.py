"""INT8 by calibration (post-training quantization): the ranges a float network shows on images decide the grid."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import GraphModule

from tinydet.edge.detection.letterbox import Image
from tinydet.edge.errors import InputError
from tinydet.quantization.bias_correction import ConvolutionWatch, correct_biases
from tinydet.quantization.blocks import blocks, choose_blocks
from tinydet.quantization.calibration import CalibrationImages, Progress
from tinydet.quantization.calibration_check import check_calibration_images
from tinydet.quantization.export_graph import as_batch, capture
from tinydet.quantization.pt2e import convert_pt2e, prepare_pt2e
from tinydet.quantization.quantizer import EdgeQuantizer
from tinydet.quantization.ranges import METHODS, RangeObserver
from tinydet.quantization.torch_logging import quiet
from tinydet.training.model import TinyDetector

Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest value of an activation, by the name of its observer in the graph."""


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedNetwork:
    """A network on the INT8 grid, ready for the converters.

    graph: images (N, 3, H, W) float in [0, 1] to (logits, distances) of each level in turn, rounded to the INT8 grid
        after every operator: the reference that every target is compared with.
    method: how the numbers were found, `ptq` or `qat`.
    calibration: which images the ranges were found on (`CalibrationImages.as_metadata`), and `ranges`, by which of
        `tinydet.quantization.ranges.METHODS`.
    float_blocks: what was left in float, names of `tinydet.quantization.blocks`.
    """

    graph: GraphModule
    input_hw: tuple[int, int]
    method: str
    calibration: dict[str, Any]
    float_blocks: tuple[str, ...] = ()


class Calibration:
    """A network with an observer on every activation. Shown images, it gives INT8 graphs by any method.

    Raises `InputError` when `input_hw` is no multiple of 64 or `float_blocks` names no block.
    """

    def __init__(self, model: TinyDetector, *, input_hw: tuple[int, int], float_blocks: Sequence[str] = ()) -> None:
        captured = capture(model, input_hw)
        self.model = model
        self.input_hw = input_hw
        self.blocks = blocks(captured)
        self.float_blocks = choose_blocks(self.blocks, float_blocks)
        with quiet():
            self.observed: GraphModule = prepare_pt2e(captured, EdgeQuantizer(float_blocks=self.float_blocks))
        self.watch = ConvolutionWatch(self.observed)

    @torch.no_grad()
    def observe(self, image: Image) -> None:
        """Learn from an image (H, W, 3) uint8 RGB of `input_hw`."""
        self.watch.run(as_batch(image))

    def with_float(self, float_blocks: Sequence[str]) -> Calibration:
        """The same images' calibration with other blocks left in float; nothing is run again."""
        other = Calibration(self.model, input_hw=self.input_hw, float_blocks=float_blocks)
        with torch.no_grad():
            other.observed(torch.zeros(1, 3, *self.input_hw))  # for the weights' observers
        seen = dict(self._by_producer())
        for producer, observer in other._by_producer():
            observer.take_over(seen[producer])
        other.watch = self.watch
        return other

    def _by_producer(self) -> list[tuple[str, RangeObserver]]:
        """Each observer with the name of the operator (or tensor) whose values it looks at."""
        known = self.observers()
        calls = [node for node in self.observed.graph.nodes if node.op == "call_module" and node.target in known]
        return [(node.args[0].name, known[node.target]) for node in calls]

    def observers(self) -> dict[str, RangeObserver]:
        """The activations' observers by name."""
        return {name: module for name, module in self.observed.named_modules() if isinstance(module, RangeObserver)}

    def ranges(self, method: str) -> Ranges:
        """What the images showed, by one of `METHODS`. Raises `InputError` when there were none."""
        if self.watch.images == 0:
            raise InputError("calibration needs at least one image, got none")
        return {name: observer.range_by(method) for name, observer in self.observers().items()}

    def quantized(self, method: str) -> GraphModule:
        """`QuantizedNetwork.graph` with ranges by `method` and corrected biases."""
        graph = self.rounded(self.ranges(method))
        correct_biases(graph, self.watch)
        return graph

    @torch.no_grad()
    def rounded(self, ranges: Ranges, parameters: Mapping[str, Tensor] | None = None) -> GraphModule:
        """The INT8 graph with these ranges and, instead of its own, these weights and biases by name."""
        with quiet():
            graph = copy.deepcopy(self.observed)
            if parameters is not None:
                own = dict(graph.named_parameters())
                for name, value in parameters.items():
                    own[name].copy_(value)
                graph(torch.zeros(1, 3, *self.input_hw))  # the weights' observers look at them again
            for name, module in graph.named_modules():
                if isinstance(module, RangeObserver):
                    low, high = ranges[name]
                    module.min_val.fill_(low)
                    module.max_val.fill_(high)
            converted = convert_pt2e(graph)
        assert isinstance(converted, GraphModule)
        return converted


def quantize(
    model: TinyDetector,
    images: CalibrationImages,
    *,
    input_hw: tuple[int, int],
    float_blocks: Sequence[str] = (),
    progress: Progress | None = None,
) -> QuantizedNetwork:
    """Calibrate `model` on `images`, ranges by `min-max`.

    Raises `InputError` when `input_hw` is no multiple of 64, an image cannot be read, or a block is unknown.
    """
    calibration = observed(model, images, input_hw=input_hw, float_blocks=float_blocks, progress=progress)
    return by_method(calibration, images, METHODS[0])


def observed(
    model: TinyDetector,
    images: CalibrationImages,
    *,
    input_hw: tuple[int, int],
    float_blocks: Sequence[str] = (),
    progress: Progress | None = None,
) -> Calibration:
    """A `Calibration` that has seen `images`; what looks wrong about them is logged. Raises as `quantize`."""
    calibration = Calibration(model, input_hw=input_hw, float_blocks=float_blocks)
    check_calibration_images(model, images, input_hw)
    for image in images.letterboxed(input_hw, progress):
        calibration.observe(image)
    return calibration


def by_method(calibration: Calibration, images: CalibrationImages, method: str) -> QuantizedNetwork:
    """The network with ranges by one of `METHODS`."""
    return QuantizedNetwork(
        graph=calibration.quantized(method),
        input_hw=calibration.input_hw,
        method="ptq",
        calibration={**images.as_metadata(), "ranges": method},
        float_blocks=calibration.float_blocks,
    )
