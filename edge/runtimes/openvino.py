"""OpenVINO on the CPU.

Float arithmetic is pinned to 32 bits: newer CPUs would otherwise compute in bf16 without a word.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino

from edge.artifact import METADATA_KEY, ArtifactMetadata
from edge.errors import InputError
from edge.runtimes import Runtime

DEVICE = "CPU"
WEIGHTS_KEY = "tinydet_weights_sha256"
"""Under which an .xml names the .bin it belongs to."""


class OpenvinoRuntime(Runtime):
    """A compiled model and as many requests as are worth having under way."""

    def __init__(self, compiled: openvino.CompiledModel, metadata: ArtifactMetadata, device: str) -> None:
        self.metadata = metadata
        self.name = f"openvino {openvino.__version__.partition('-')[0]}"
        self.device = device
        self.provider = ",".join(compiled.get_property("EXECUTION_DEVICES"))
        self.parallel = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._compiled: openvino.CompiledModel | None = compiled
        self._idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for _ in range(self.parallel):
            self._idle.put(compiled.create_infer_request())

    @classmethod
    def open(cls, path: Path, *, threads: int | None) -> OpenvinoRuntime:
        """Load an IR: an .xml, its .bin beside it."""
        core = openvino.Core()
        model, metadata = read_ir(core, path)
        _check_interface(model, metadata, path)
        settings: dict[str, Any] = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            compiled = core.compile_model(model, DEVICE, settings)
        except RuntimeError as error:
            raise InputError(f"cannot run {path} on {DEVICE}: {_reason(error)}") from error
        ran = compiled.get_property("EXECUTION_DEVICES")
        if ran != [DEVICE]:
            raise InputError(f"cannot run {path} on {DEVICE}: openvino chose {', '.join(ran)}")
        return cls(compiled, metadata, str(core.get_property(DEVICE, "FULL_DEVICE_NAME")).strip())

    def infer(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """See `Runtime.infer`. `parallel` threads may call it at once."""
        if self._compiled is None:
            raise ValueError("this runtime was closed")
        self.check_images(images_nhwc_u8)
        request = self._idle.get()
        try:
            results = request.infer({0: images_nhwc_u8}, share_inputs=True)  # the results are copies
        finally:
            self._idle.put(request)
        return [results[name] for name in self.metadata.output_shapes]

    def executed_operators(self) -> list[openvino.Node]:
        """What the device executes; each node's rt_info has its layerType and runtimePrecision."""
        if self._compiled is None:
            raise ValueError("this runtime was closed")
        return list(self._compiled.get_runtime_model().get_ops())

    def close(self) -> None:
        """See `Runtime.close`."""
        self.finish()
        self._idle = SimpleQueue()
        self._compiled = None


def read_ir(core: openvino.Core, path: Path) -> tuple[openvino.Model, ArtifactMetadata]:
    """The model in `path` and its .bin, and what it says of itself. Raises `InputError` when one is unusable."""
    weights = path.with_suffix(".bin")
    for file in (path, weights):
        if not file.is_file():
            raise InputError(f"artifact {file} does not exist: an IR is two files side by side, .xml and .bin")
    try:
        model = core.read_model(path, weights)
    except RuntimeError as error:
        raise InputError(
            f"cannot load {path}: not an OpenVINO IR, cut short, or of another .bin ({_reason(error)})"
        ) from error
    for key in (METADATA_KEY, WEIGHTS_KEY):
        if not model.has_rt_info([key]):
            raise InputError(f"{path} carries no tinydet metadata: make artifacts with `tinydet export`")
    if model.get_rt_info([WEIGHTS_KEY]).astype(str) != hashlib.sha256(weights.read_bytes()).hexdigest():
        raise InputError(f"{weights} is not the one that {path.name} was written with: export again")
    try:
        return model, ArtifactMetadata.from_json(model.get_rt_info([METADATA_KEY]).astype(str))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_interface(model: openvino.Model, metadata: ArtifactMetadata, path: Path) -> None:
    """Input and outputs must be those the metadata promises."""
    expected = {"image": ((*metadata.input_hw, 3), "u8")}
    expected |= {name: (shape, "f32") for name, shape in metadata.output_shapes.items()}
    found = {}
    for port in (*model.inputs, *model.outputs):
        sides = tuple(side.get_length() if side.is_static else -1 for side in port.get_partial_shape())
        found[port.get_any_name()] = (sides[1:], port.get_element_type().get_type_name())
    for name in expected | found:
        if expected.get(name) != found.get(name):
            raise InputError(
                f"{path}: metadata promises {name} as {expected.get(name, 'absent')}, "
                f"the graph has it as {found.get(name, 'absent')}"
            )


def _reason(error: RuntimeError) -> str:
    """The last line with words in it: the ones above name source files."""
    lines = [line.strip() for line in str(error).splitlines() if any(c.isalpha() for c in line)]
    return lines[-1].rstrip(".") if lines else "no reason given"
