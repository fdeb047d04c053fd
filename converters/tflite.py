"""TFLite artifacts, made with litert-torch: NHWC in and out, metadata inside; FP32, or INT8 without any float.

The interface of a file, one image at a time:

    image (1, H, W, 3)  ->  logits_p2, distances_p2, logits_p3, ...  (1, H/stride, W/stride, C)

FP32 reads float32 in [0, 1]. INT8 reads int8 on the grid (1/255, -128), which is a uint8 image with the highest bit
flipped, and writes int8 on each output's grid. edge/runtimes/litert.py converts on both sides, so that callers give
uint8 and get float32 as with every runtime, and the graph needs no operator for it.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch.fx import GraphModule

from tinydet.converters.target import Grid, Target
from tinydet.converters.tflite_graph import (
    CONVOLUTIONS,
    FLOAT_TYPES,
    INT8,
    NhwcInterface,
    operators,
    with_float_constants,
)
from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.files.native_stderr import without_chatter
from tinydet.edge.files.writing import atomic_path
from tinydet.edge.runtimes.tflite_file import join, read_tflite
from tinydet.quantization.torch_logging import quiet_torch

with quiet_torch(), without_chatter():
    import litert_torch
    from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer, get_symmetric_quantization_config
    from litert_torch.quantize.quant_config import QuantConfig

OUT_OF_PLACE = ("QUANTIZE", "DEQUANTIZE", "TRANSPOSE")  # an INT8 graph in NHWC needs none of them

litert_torch.config.show_progress = False


class TfliteTarget(Target[bytes]):
    """TFLite for LiteRT."""

    name = "tflite"
    precisions = ("fp32", "int8")
    tools = ("litert-torch", "litert-converter")

    def build(self, graph: GraphModule, metadata: ArtifactMetadata) -> bytes:
        """See `Target.build`.

        Layers of a quantized graph without a grid stay float, except a convolution between two INT8 tensors:
        litert-torch gives its weights a grid of its own.
        """
        quantization = None
        if metadata.precision == "int8":
            graph = with_float_constants(graph)
            # Nothing is quantized again: this makes the converter look for the graph's own (de)quantize pairs.
            rules = PT2EQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True, is_dynamic=False))
            quantization = QuantConfig(pt2e_quantizer=rules)
        module = NhwcInterface(graph, tuple(metadata.output_shapes))
        image = torch.zeros(1, *metadata.input_hw, 3)
        with quiet_torch(), without_chatter():
            converted = litert_torch.convert(module, sample_kwargs={"image": image}, quant_config=quantization)
            content: bytes = converted.model_content()
        return content

    def read(self, path: Path) -> tuple[bytes, ArtifactMetadata]:
        return read_tflite(path)[:2]

    def write(self, path: Path, model: bytes, metadata: ArtifactMetadata) -> None:
        with atomic_path(path) as partial:
            partial.write_bytes(join(model, metadata))

    def count_convolutions(self, path: Path) -> tuple[int, int]:
        """See `Target.count_convolutions`."""
        convolutions = [operator for operator in operators(read_tflite(path).model) if operator.name in CONVOLUTIONS]
        return sum(operator.inputs[0].type == INT8 for operator in convolutions), len(convolutions)

    def grid(self, path: Path) -> Grid:
        return frozenset(
            (tensor.quantization.scale[0].item(), tensor.quantization.zeroPoint[0].item())
            for operator in operators(read_tflite(path).model)
            for tensor in operator.activations
            if tensor.type == INT8
        )

    def float_operators(self, path: Path) -> int:
        """See `Target.float_operators`: those with a float tensor, and those that INT8 in NHWC does not need."""
        return sum(
            operator.name in OUT_OF_PLACE
            or any(tensor.type in FLOAT_TYPES for tensor in (*operator.inputs, *operator.outputs))
            for operator in operators(read_tflite(path).model)
        )
