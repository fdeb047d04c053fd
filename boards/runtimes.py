"""Runtimes that boards use: their packages, their files and how to install them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class RuntimeInfo:
    """A runtime as users meet it."""

    packages: tuple[str, ...]
    """Python packages; any one of them runs its files."""
    file_ending: str
    """Ending of its files, without the dot."""
    export_format: str
    """Value of `tinydet export --format`."""
    install: str
    """Command line that installs it on a board."""


RUNTIMES = {
    "onnxruntime": RuntimeInfo(
        packages=("onnxruntime",),
        file_ending="onnx",
        export_format="onnx",
        install="pip install 'tinydet[onnxruntime]'",
    ),
    "openvino": RuntimeInfo(
        packages=("openvino",),
        file_ending="xml",
        export_format="openvino",
        install="pip install 'tinydet[openvino]'",
    ),
    "tflite": RuntimeInfo(
        packages=("ai_edge_litert", "tflite_runtime"),
        file_ending="tflite",
        export_format="tflite",
        install="pip install 'tinydet[tflite]'",
    ),
    "tensorrt": RuntimeInfo(
        packages=("tensorrt",),
        file_ending="engine",
        export_format="tensorrt",
        install="sudo apt install nvidia-jetpack",
    ),
}
"""By the name that boards/known_boards uses."""
