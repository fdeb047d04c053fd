"""Runtimes that boards use: their packages, their files and how to install them."""

from __future__ import annotations

from typing import NamedTuple


class RuntimeInfo(NamedTuple):
    """A runtime as users meet it."""

    packages: tuple[str, ...]
    """Python packages; any one of them runs its files."""
    file_ending: str
    """Ending of its files, without the dot."""
    export_format: str
    """Value of `tinydet export --format`."""
    install: str
    """Command line that installs it on a board."""


#: By the name that boards/known_boards uses.
RUNTIMES = {
    "onnxruntime": RuntimeInfo(("onnxruntime",), "onnx", "onnx", "pip install 'tinydet[onnxruntime]'"),
    "openvino": RuntimeInfo(("openvino",), "xml", "openvino", "pip install 'tinydet[openvino]'"),
    "tflite": RuntimeInfo(("ai_edge_litert", "tflite_runtime"), "tflite", "tflite", "pip install 'tinydet[tflite]'"),
    "tensorrt": RuntimeInfo(("tensorrt",), "engine", "tensorrt", "sudo apt install nvidia-jetpack"),
}
