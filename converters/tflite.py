"""TFLite artifacts through litert-torch: NHWC in and out, metadata inside; FP32, or INT8 with not a float left.

The interface of a file, one image at a time:

    image (1, H, W, 3)  ->  logits_p2, distances_p2, logits_p3, ...  (1, H/stride, W/stride, C)

FP32 reads float32 in [0, 1]. INT8 reads int8 on the grid (1/255, -128), which is a uint8 image with the highest bit
flipped, and writes int8 on each output's grid. edge/runtimes/litert.py converts on both sides, so the graph needs
no operator for it; users give uint8 and get float32 as everywhere.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from torch.fx import GraphModule

from tinydet.converters.artifact import file_name, plan
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
from tinydet.edge.evaluation.average_precision import Accuracy
from tinydet.edge.files import atomic_path
from tinydet.edge.runtimes.native_stderr import without_chatter
from tinydet.edge.runtimes.tflite_file import join, split
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.quantization.torch_logging import quiet
from tinydet.training.checkpoint import LoadedDetector

with quiet(), without_chatter():
    import litert_torch
    from litert_torch.quantize.pt2e_quantizer import PT2EQuantizer, get_symmetric_quantization_config
    from litert_torch.quantize.quant_config import QuantConfig

OUT_OF_PLACE = ("QUANTIZE", "DEQUANTIZE", "TRANSPOSE")  # an INT8 graph in NHWC needs none of them

litert_torch.config.show_progress = False


def export_tflite(
    loaded: LoadedDetector,
    folder: Path,
    *,
    precision: str,
    input_hw: tuple[int, int] | None = None,
    quantized: QuantizedNetwork | None = None,
) -> Path:
    """See `Export` in target.py. The same checkpoint and calibration give the same bytes."""
    tools = ("litert-torch", "litert-converter")
    graph, metadata = plan(loaded, precision=precision, input_hw=input_hw, quantized=quantized, tools=tools)
    path = folder / file_name(metadata, "tflite")
    _write(path, build_tflite(graph, metadata), metadata)
    return path


def build_tflite(graph: GraphModule, metadata: ArtifactMetadata) -> bytes:
    """The TFLite model, without metadata, of the captured or quantized `graph`.

    Layers of a quantized graph that have no grid stay float, but for a single convolution between two INT8 tensors:
    litert-torch gives its weights a grid of its own.
    """
    quantization = None
    if metadata.precision == "int8":
        graph = with_float_constants(graph)
        # Nothing is quantized again: this tells the converter to look for the graph's own pairs of (de)quantize.
        rules = PT2EQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True, is_dynamic=False))
        quantization = QuantConfig(pt2e_quantizer=rules)
    module = NhwcInterface(graph, tuple(metadata.output_shapes))
    image = torch.zeros(1, *metadata.input_hw, 3)
    with quiet(), without_chatter():
        converted = litert_torch.convert(module, sample_kwargs={"image": image}, quant_config=quantization)
        content: bytes = converted.model_content()
    return content


def record_accuracy(path: Path, accuracy: Accuracy, data: str) -> None:
    """See `Target` in target.py."""
    model, metadata = split(path)
    _write(path, model, replace(metadata, accuracy={**accuracy.as_dict(), "data": data}))


def summary(path: Path) -> str:
    """How many convolutions the artifact has, and how many of them compute in INT8."""
    convolutions = [operator for operator in operators(split(path)[0]) if operator.name in CONVOLUTIONS]
    int8 = sum(operator.inputs[0].type == INT8 for operator in convolutions)
    return f"{int8} of {len(convolutions)} convolutions in INT8"


def grid(path: Path) -> Grid:
    """See `Target` in target.py."""
    return frozenset(
        (tensor.quantization.scale[0].item(), tensor.quantization.zeroPoint[0].item())
        for operator in operators(split(path)[0])
        for tensor in operator.activations
        if tensor.type == INT8
    )


def float_operators(path: Path) -> int:
    """See `Target` in target.py: those with a float tensor, and those an INT8 graph in NHWC has no use for."""
    return sum(
        operator.name in OUT_OF_PLACE
        or any(tensor.type in FLOAT_TYPES for tensor in (*operator.inputs, *operator.outputs))
        for operator in operators(split(path)[0])
    )


def _write(path: Path, model: bytes, metadata: ArtifactMetadata) -> None:
    with atomic_path(path) as partial:
        partial.write_bytes(join(model, metadata))


TARGET = Target(
    precisions=("fp32", "int8"),
    export=export_tflite,
    record_accuracy=record_accuracy,
    summary=summary,
    grid=grid,
    float_operators=float_operators,
)
