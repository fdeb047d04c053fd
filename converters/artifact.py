"""What every target shares: what is written, the artifact's description of itself, and its file name."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

from torch.fx import GraphModule

from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.quantization.export_graph import capture
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.training.checkpoint import LoadedDetector
from tinydet.training.torch_runtime import float_metadata


def plan(
    loaded: LoadedDetector,
    *,
    precision: str,
    input_hw: tuple[int, int] | None,
    quantized: QuantizedNetwork | None,
    tools: tuple[str, ...],
) -> tuple[GraphModule, ArtifactMetadata]:
    """The graph a target translates, and the metadata of what comes out. `tools`: packages that make the file.

    The graph takes images (N, 3, H, W) float in [0, 1] and gives logits and distances of each level in turn; for `int8`
    it is `quantized.graph`, with `quantized_decomposed` operators between its operators. Raises `InputError` when
    `input_hw` is no multiple of 64, or not what `quantized` was calibrated for.
    """
    if (precision == "int8") != (quantized is not None):
        raise ValueError(f"precision {precision} {'needs' if quantized is None else 'cannot take'} a quantized network")
    if quantized is None:
        input_hw = input_hw or (loaded.input_px, loaded.input_px)
        graph = capture(loaded.model, input_hw)
    else:
        if input_hw not in (None, quantized.input_hw):
            raise InputError(f"calibrated for input {quantized.input_hw}, asked to export for {input_hw}")
        input_hw, graph = quantized.input_hw, quantized.graph
    metadata = float_metadata(loaded.model, input_px=loaded.input_px, checkpoint_sha256=loaded.sha256)
    packages = ("tinydet", "torch", *tools, *(("torchao",) if quantized is not None else ()))
    return graph, replace(
        metadata,
        input_hw=input_hw,
        precision=precision,
        quantization=None if quantized is None else quantized.method,
        calibration=None if quantized is None else quantized.calibration,
        float_blocks=() if quantized is None else quantized.float_blocks,
        tool_versions={package: version(package) for package in packages},
    )


def file_name(metadata: ArtifactMetadata, ending: str) -> str:
    """`<model>-<size>px-<precision>.<ending>`; a size that is no square is written width x height."""
    height, width = metadata.input_hw
    size = f"{width}" if height == width else f"{width}x{height}"
    return f"{metadata.model}-{size}px-{metadata.precision}.{ending}"
