"""Post-training quantization (PTQ): a float network's ranges on calibration images decide its INT8 grid."""

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
from tinydet.quantization.bias_correction import ConvolutionStatistics, correct_biases
from tinydet.quantization.blocks import block_names, select_blocks
from tinydet.quantization.calibration import CalibrationImages, Progress
from tinydet.quantization.calibration_check import check_calibration_images
from tinydet.quantization.export_graph import as_batch, capture
from tinydet.quantization.pt2e import convert_pt2e, prepare_pt2e
from tinydet.quantization.quantizer import EdgeQuantizer
from tinydet.quantization.ranges import METHODS, RangeObserver
from tinydet.quantization.torch_logging import quiet_torch
from tinydet.training.model import TinyDetector

Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest value of each activation, by the name of its observer in the graph."""


@dataclass(frozen=True, kw_only=True, eq=False)
class QuantizedNetwork:
    """A network on the INT8 grid, ready for the converters.

    graph: images (N, 3, H, W) float in [0, 1] to (logits, distances) of each level in turn, rounded to the INT8 grid
        after every operator: the reference that every target is compared with.
    method: `ptq` or `qat`.
    calibration: the calibration images (`CalibrationImages.as_metadata`), and under `ranges` the calibration method,
        one of `tinydet.quantization.ranges.METHODS`.
    float_blocks: blocks left in float, by their names in `tinydet.quantization.blocks`.
    """

    graph: GraphModule
    input_hw: tuple[int, int]
    method: str
    calibration: dict[str, Any]
    float_blocks: tuple[str, ...] = ()


class Calibration:
    """Observes a network's activations on images, then gives its INT8 graph by any calibration method.

    Raises `InputError` when `input_hw` is not a multiple of 64 or `float_blocks` names an unknown block.
    """

    def __init__(self, model: TinyDetector, *, input_hw: tuple[int, int], float_blocks: Sequence[str] = ()) -> None:
        captured = capture(model, input_hw)
        self.model = model
        self.input_hw = input_hw
        self.blocks = block_names(captured)
        self.float_blocks = select_blocks(self.blocks, float_blocks)
        with quiet_torch():
            self.prepared: GraphModule = prepare_pt2e(captured, EdgeQuantizer(float_blocks=self.float_blocks))
        self.statistics = ConvolutionStatistics(self.prepared)

    @torch.no_grad()
    def observe(self, image: Image) -> None:
        """Run the network on an image (H, W, 3) uint8 RGB of `input_hw` and record its activations."""
        self.statistics.run(as_batch(image))

    def with_float(self, float_blocks: Sequence[str]) -> Calibration:
        """Copy the calibration with other blocks left in float, without running the images again."""
        other = Calibration(self.model, input_hw=self.input_hw, float_blocks=float_blocks)
        other.observe_weights()
        own_observers = dict(self._by_producer())
        for producer, observer in other._by_producer():
            observer.copy_from(own_observers[producer])
        other.statistics = self.statistics
        return other

    @torch.no_grad()
    def observe_weights(self) -> tuple[Tensor, ...]:
        """Let the weights' observers see the weights, by running the graph once on zeros; returns its outputs."""
        outputs: tuple[Tensor, ...] = self.prepared(torch.zeros(1, 3, *self.input_hw))
        return outputs

    def _by_producer(self) -> list[tuple[str, RangeObserver]]:
        """Each observer with the name of the operator (or tensor) whose values it observes."""
        known = self.observers()
        calls = [node for node in self.prepared.graph.nodes if node.op == "call_module" and node.target in known]
        return [(node.args[0].name, known[node.target]) for node in calls]

    def observers(self) -> dict[str, RangeObserver]:
        """The activations' observers by name."""
        return {name: module for name, module in self.prepared.named_modules() if isinstance(module, RangeObserver)}

    def ranges(self, method: str) -> Ranges:
        """Range of each activation by one of `METHODS`. Raises `InputError` when no image was observed."""
        if self.statistics.images == 0:
            raise InputError("calibration needs at least one image, got none")
        return {name: observer.range_by(method) for name, observer in self.observers().items()}

    def quantized_graph(self, method: str) -> GraphModule:
        """`QuantizedNetwork.graph`, with ranges by `method` and corrected biases."""
        graph = self.convert(self.ranges(method))
        correct_biases(graph, self.statistics)
        return graph

    @torch.no_grad()
    def convert(self, ranges: Ranges, parameters: Mapping[str, Tensor] | None = None) -> GraphModule:
        """The INT8 graph with these ranges; `parameters` replace weights and biases by name."""
        with quiet_torch():
            graph = copy.deepcopy(self.prepared)
            if parameters is not None:
                own = dict(graph.named_parameters())
                for name, value in parameters.items():
                    own[name].copy_(value)
                graph(torch.zeros(1, 3, *self.input_hw))  # the weights' observers have to see the new ones
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
    """Quantize `model` with min-max ranges of `images`. Raises as `calibrate`."""
    calibration = calibrate(model, images, input_hw=input_hw, float_blocks=float_blocks, progress=progress)
    return quantized_network(calibration, images, METHODS[0])


def calibrate(
    model: TinyDetector,
    images: CalibrationImages,
    *,
    input_hw: tuple[int, int],
    float_blocks: Sequence[str] = (),
    progress: Progress | None = None,
) -> Calibration:
    """Observe `model` on `images`; images that look unlike its training data are logged as a warning.

    Raises `InputError` when `input_hw` is not a multiple of 64, an image cannot be read, or a block is unknown.
    """
    calibration = Calibration(model, input_hw=input_hw, float_blocks=float_blocks)
    check_calibration_images(model, images, input_hw)
    for image in images.letterboxed(input_hw, progress):
        calibration.observe(image)
    return calibration


def quantized_network(calibration: Calibration, images: CalibrationImages, method: str) -> QuantizedNetwork:
    """The network with ranges by one of `METHODS`; `images` are those that `calibration` observed."""
    return QuantizedNetwork(
        graph=calibration.quantized_graph(method),
        input_hw=calibration.input_hw,
        method="ptq",
        calibration={**images.as_metadata(), "ranges": method},
        float_blocks=calibration.float_blocks,
    )
