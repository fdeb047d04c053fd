"""Errors that a user can act on. The command line prints their one line and exits with code 2."""

from __future__ import annotations

#: Package that is not in the base install -> extra of this distribution that provides it.
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

#: Package that no extra provides -> its source.
ORIGIN_OF_PACKAGE = {
    "tensorrt": "it comes with JetPack on a Jetson, for the system's Python: make a virtual environment there with "
    "--system-site-packages",
}


class InputError(ValueError):
    """Input that cannot be used: one line with the expected, the found, and the way out."""


class MissingExtraError(InputError):
    """A missing package that an extra of this distribution, or the board's system, provides."""

    @classmethod
    def of(cls, error: ModuleNotFoundError) -> MissingExtraError | None:
        """Name the package's source for a missing module; None where it is unknown, which is a bug."""
        package = (error.name or "").partition(".")[0]
        if package in ORIGIN_OF_PACKAGE:
            return cls(f"this needs {package}: {ORIGIN_OF_PACKAGE[package]}")
        extra = EXTRA_OF_PACKAGE.get(package)
        return None if extra is None else cls(f"this needs {package}: pip install 'tinydet[{extra}]'")
