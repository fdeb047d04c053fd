"""Errors a user can act on. The command line prints their one line and exits with code 2."""

from __future__ import annotations

#: Packages that are not in the base install -> the extra of this distribution that brings them.
EXTRA_OF_PACKAGE = {
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "tflite_runtime": "tflite",
    "ai_edge_litert": "tflite",
    "pymavlink": "mavlink",
    "serial": "mavlink",
    "torch": "training",
    "safetensors": "training",
    "matplotlib": "training",
    "tensorboard": "tensorboard",
    "torchao": "convert",
    "onnx": "convert",
    "litert_torch": "tflite-convert",
}

#: Packages that no extra brings -> where they come from.
ORIGIN_OF_PACKAGE = {
    "tensorrt": "it comes with JetPack on a Jetson, for the system's Python: make a virtual environment there with "
    "--system-site-packages",
}


class InputError(ValueError):
    """What the user gave cannot be used: one line saying what was expected, what was found and what to do."""


class MissingExtraError(InputError):
    """A package that an extra of this distribution brings, or the board's system, is not installed."""

    @classmethod
    def of(cls, error: ModuleNotFoundError) -> MissingExtraError | None:
        """Say what brings the module `error` misses; None where nothing is known to (then it is a bug)."""
        package = (error.name or "").partition(".")[0]
        if package in ORIGIN_OF_PACKAGE:
            return cls(f"this needs {package}: {ORIGIN_OF_PACKAGE[package]}")
        extra = EXTRA_OF_PACKAGE.get(package)
        return None if extra is None else cls(f"this needs {package}: pip install 'tinydet[{extra}]'")
