"""What every target shares: the artifact's description of itself and its file name."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import version

from edge.artifact import ArtifactMetadata
from quantization.ptq import QuantizedNetwork
from training.checkpoint import LoadedDetector
from training.runtime import float_metadata


def describe(
    loaded: LoadedDetector, *, input_hw: tuple[int, int], quantized: QuantizedNetwork | None, tools: tuple[str, ...]
) -> ArtifactMetadata:
    """Metadata of an artifact of `loaded`: INT8 if `quantized`, else FP32. `tools`: packages that make the file."""
    metadata = float_metadata(loaded.model, input_px=loaded.input_px, checkpoint_sha256=loaded.sha256)
    packages = ("tinydet", "torch", *tools, *(("torchao",) if quantized is not None else ()))
    metadata = replace(metadata, input_hw=input_hw, tool_versions={package: version(package) for package in packages})
    if quantized is None:
        return metadata
    return replace(metadata, precision="int8", quantization=quantized.method, calibration=quantized.calibration)


def file_name(metadata: ArtifactMetadata, ending: str) -> str:
    """`<model>-<size>px-<precision>.<ending>`; a size that is no square is written width x height."""
    height, width = metadata.input_hw
    size = f"{width}" if height == width else f"{width}x{height}"
    return f"{metadata.model}-{size}px-{metadata.precision}.{ending}"
