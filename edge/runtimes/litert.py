"""LiteRT, the runtime of TensorFlow Lite, on the CPU: ai-edge-litert, or its predecessor tflite-runtime.

The interpreter gives the operators that XNNPACK supports to XNNPACK and runs the others with its own kernels.
tflite-runtime 2.14 runs INT8 with its own kernels, which are made for Arm: on x86 they take ten times as long as
ai-edge-litert.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

try:
    from ai_edge_litert.interpreter import Interpreter

    PACKAGE = "ai-edge-litert"
except ModuleNotFoundError:
    from tflite_runtime.interpreter import Interpreter

    PACKAGE = "tflite-runtime"

from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.files.native_stderr import without_chatter
from tinydet.edge.files.printable import printable
from tinydet.edge.runtimes.runtime import Runtime, check_device
from tinydet.edge.runtimes.tflite_file import read_tflite

IMAGE_GRID = (np.float32(1 / 255), -128)
SIGN_BIT = np.uint8(0x80)  # flipping it subtracts 128 from a uint8 whose bits are then read as int8
INPUT_TYPES = {"int8": np.int8, "fp32": np.float32}


class LiteRuntime(Runtime):
    """An interpreter for one image at a time."""

    def __init__(self, interpreter: Any, metadata: ArtifactMetadata, fingerprint: str) -> None:
        self.metadata = metadata
        self.fingerprint = fingerprint
        self.name = f"{PACKAGE} {version(PACKAGE)}"
        self.device = "CPU"
        self.provider = "XNNPACK" if _is_delegated(interpreter) else "built-in kernels"
        self._interpreter: Any = interpreter
        self._turn = Lock()  # an interpreter holds one image at a time
        self._input_index: int = interpreter.get_input_details()[0]["index"]
        details = interpreter.get_signature_runner().get_output_details()
        self._outputs = [_Output(details[name]) for name in metadata.output_shapes]

    @classmethod
    def open(cls, path: Path, *, threads: int | None = None, device: str | None = None) -> LiteRuntime:
        """See `Runtime.open`. threads: None uses every CPU; the interpreter's own default is one."""
        if PACKAGE == "tflite-runtime" and int(np.__version__.partition(".")[0]) >= 2:
            raise InputError(f"tflite-runtime {version(PACKAGE)} needs numpy<2: pip install 'numpy<2'")
        check_device(path, device, cls.devices(), PACKAGE, threads=threads)
        model, metadata, weights = read_tflite(path)
        try:
            with without_chatter():
                interpreter = Interpreter(model_content=model, num_threads=threads or os.cpu_count() or 1)
                interpreter.allocate_tensors()
            _check_interface(interpreter, metadata, path)
        except InputError:
            raise
        except (ValueError, RuntimeError, MemoryError) as error:
            reason = printable(" ".join(str(error).split()))
            raise InputError(f"cannot load {path}: {PACKAGE} {version(PACKAGE)} refuses it ({reason})") from error
        return cls(interpreter, metadata, weights)

    def _run(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        shapes = self.metadata.output_shapes.values()
        results = [np.empty((len(images_nhwc_u8), *shape), np.float32) for shape in shapes]
        for index in range(len(images_nhwc_u8)):
            with self._turn:
                self._interpreter.set_tensor(self._input_index, self._input(images_nhwc_u8[index : index + 1]))
                self._interpreter.invoke()
                for result, output in zip(results, self._outputs, strict=True):
                    output.read(self._interpreter, result[index])
        return results

    def _release(self) -> None:
        del self._interpreter

    def _input(self, image_nhwc_u8: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """The image on the int8 grid (scale 1/255, zero point -128), or as float in [0, 1]."""
        if self.metadata.precision == "int8":
            return np.bitwise_xor(image_nhwc_u8, SIGN_BIT).view(np.int8)
        return np.multiply(image_nhwc_u8, np.float32(1 / 255), dtype=np.float32)


class _Output:
    """One output tensor of the interpreter: int8 on its own grid, or float."""

    def __init__(self, details: dict[str, Any]) -> None:
        self.index: int = details["index"]
        scale, zero_point = details["quantization"]
        self.grid = (np.float32(scale), np.float32(zero_point)) if details["dtype"] is np.int8 else None

    def read(self, interpreter: Any, result: npt.NDArray[np.float32]) -> None:
        """Write the last image's output as real numbers into `result` (height, width, channels)."""
        values = interpreter.get_tensor(self.index)[0]
        if self.grid is None:
            result[:] = values
        else:
            scale, zero_point = self.grid
            np.subtract(values, zero_point, out=result)
            result *= scale


def _is_delegated(interpreter: Any) -> bool:
    """Whether a delegate (XNNPACK, no other is used) runs any operator; the interpreter has no public method for it."""
    return any(operator["op_name"] == "DELEGATE" for operator in interpreter._get_ops_details())


def _check_interface(interpreter: Any, metadata: ArtifactMetadata, path: Path) -> None:
    """Check that inputs and outputs are those that the metadata promises."""
    expected_type = INPUT_TYPES.get(metadata.precision)
    if expected_type is None:
        raise InputError(f"{path}: expected precision int8 or fp32, metadata says {metadata.precision}")
    inputs = interpreter.get_input_details()
    expected: Any = (expected_type, [1, *metadata.input_hw, 3])
    found = [(node["dtype"], node["shape"].tolist()) for node in inputs]
    if found != [expected]:
        described = ", ".join(f"{dtype.__name__} {shape}" for dtype, shape in found)
        promised = f"one {expected_type.__name__} image {expected[1]}"
        raise InputError(f"{path}: metadata promises {promised} as input, the graph has {described or 'none'}")
    if metadata.precision == "int8" and inputs[0]["quantization"] != IMAGE_GRID:
        raise InputError(f"{path}: expected an image on the grid {IMAGE_GRID}, got {inputs[0]['quantization']}")
    signatures = interpreter.get_signature_list()
    outputs = interpreter.get_signature_runner().get_output_details() if len(signatures) == 1 else {}
    shapes = {name: tuple(node["shape"].tolist()[1:]) for name, node in outputs.items()}
    for name, node in outputs.items():
        if node["dtype"] is np.int8 and not 0 < node["quantization"][0] < np.inf:
            raise InputError(f"{path}: expected a scale above 0 for {name}, got {node['quantization'][0]}")
    for name, shape in metadata.output_shapes.items():
        if shapes.get(name) != shape:
            raise InputError(f"{path}: metadata promises an output {name} {shape}, the graph has {shapes or 'none'}")
    if len(shapes) != len(metadata.output_shapes):
        raise InputError(f"{path}: expected the outputs {', '.join(metadata.output_shapes)}, got {', '.join(shapes)}")
