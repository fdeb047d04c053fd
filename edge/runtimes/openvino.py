"""OpenVINO on Intel's CPUs, GPUs and NPUs, and on the CPUs of others.

On the CPU float arithmetic is pinned to 32 bits: newer ones would otherwise compute in bf16 without a word. GPUs and
NPUs compute what is not INT8 in 16 bits. On Arm INT8 artifacts are computed in float too, on their INT8 grid: with
OpenVINO's INT8 kernels for Arm (2026.4.1) ours gave empty outputs without a word. The compiled model is kept in the
cache: `n` is ready in 0.4 instead of 1.5 s on an x86 CPU. GPU and NPU were never run, for want of them; that they are
refused where they are not there was.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
from openvino import opset13 as opset
from openvino.passes import ConstantFolding, Manager

from tinydet.edge.artifact import METADATA_KEY, ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.runtimes.compile_cache import cache_folder
from tinydet.edge.runtimes.runtime import Runtime, check_device

NAMES = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU"}
"""Device -> OpenVINO's name of it."""
ARM = ("aarch64", "arm")
"""What the names of their machines start with."""
ONE_IMAGE = {"cpu", "npu"}
"""Devices that images go to one by one: an NPU takes nothing else, and a CPU is 5 % faster when it knows the shape."""
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
        self._one_image = bool(compiled.input(0).get_partial_shape().is_static)
        self._idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for _ in range(self.parallel):
            self._idle.put(compiled.create_infer_request())

    @classmethod
    def open(cls, path: Path, *, threads: int | None = None, device: str | None = None) -> OpenvinoRuntime:
        """See `Runtime.open`. An IR is an .xml, its .bin beside it."""
        check_device(path, device, tuple(NAMES), "openvino")
        device = device or "cpu"
        if threads is not None and device != "cpu":
            raise InputError(f"threads has no effect on {device}, which computes without the CPU")
        core = openvino.Core()
        model, metadata = read_ir(core, path)
        _check_interface(model, metadata, path)
        settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if device == "cpu":
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        if device == "cpu" and platform.machine().startswith(ARM):
            settings["LP_TRANSFORMS_MODE"] = False
            _unpack_weights(model)
        elif device == "cpu":
            keep_rounding(model)
        if threads is not None:
            settings["INFERENCE_NUM_THREADS"] = threads
        folder = cache_folder("openvino")
        if folder is not None:
            settings["CACHE_DIR"] = str(folder)
        if device in ONE_IMAGE:
            model.reshape([1, *metadata.input_hw, 3])
        name = NAMES[device]
        try:
            compiled = core.compile_model(model, name, settings)
            ran = compiled.get_property("EXECUTION_DEVICES")
        except RuntimeError as error:
            found = ", ".join(core.available_devices)
            raise InputError(f"cannot run {path} on {device}: {_reason(error)} (openvino finds {found})") from error
        if any(which.partition(".")[0] != name for which in ran):
            raise InputError(f"cannot run {path} on {device}: openvino chose {', '.join(ran)}")
        return cls(compiled, metadata, str(core.get_property(name, "FULL_DEVICE_NAME")).strip())

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """See `Runtime.devices`: those that OpenVINO finds here."""
        found = {name.partition(".")[0] for name in openvino.Core().available_devices}
        return tuple(device for device, name in NAMES.items() if name in found)

    def infer(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """See `Runtime.infer`. `parallel` threads may call it at once."""
        if self._compiled is None:
            raise ValueError("this runtime was closed")
        self.check_images(images_nhwc_u8)
        if self._one_image and len(images_nhwc_u8) != 1:
            parts = [self.infer(images_nhwc_u8[index : index + 1]) for index in range(len(images_nhwc_u8))]
            return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
        request = self._idle.get()
        try:
            results = request.infer({0: images_nhwc_u8}, share_inputs=True)  # the results are copies
        finally:
            self._idle.put(request)
        outputs = [results[name] for name in self.metadata.output_shapes]
        if any(len(output) != len(images_nhwc_u8) for output in outputs):
            raise InputError(f"{self.name} computes nothing with this artifact on {self.device}: take another runtime")
        return outputs

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


def keep_rounding(model: openvino.Model) -> None:
    """Make the CPU plugin round a convolution's result that an addition reads.

    It computes convolution, FakeQuantize, Add, FakeQuantize as one operator and leaves out the first one's rounding:
    "unsafe optimization" in its own source (Convolution's post-ops). Other runtimes round there. A PReLU of slope 1,
    which changes no value, stands in between; Clamp, Maximum or adding and multiplying next to nothing did not help.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize" and _is_convolved(node) and "Add" in _readers(node):
            identity = opset.prelu(node.input_value(0), np.ones(1, np.float32))
            node.input(0).replace_source_output(identity.output(0))


def _is_convolved(quantize: openvino.Node) -> bool:
    """Whether a FakeQuantize reads a convolution, with its bias or without."""
    source = quantize.input_value(0).get_node()
    nodes = [source]
    if source.get_type_name() == "Add":
        nodes += [value.get_node() for value in source.input_values()]
    return any(node.get_type_name() in ("Convolution", "GroupConvolution") for node in nodes)


def _readers(quantize: openvino.Node) -> set[str]:
    """The kinds of operators that read a FakeQuantize's values, as bytes or brought back to float."""
    found, open_nodes = set(), [quantize]
    while open_nodes:
        for value in open_nodes.pop().output(0).get_target_inputs():
            reader = value.get_node()
            if reader.get_type_name() in ("Convert", "Subtract", "Multiply"):  # of the dequantization
                open_nodes.append(reader)
            else:
                found.add(reader.get_type_name())
    return found


def _unpack_weights(model: openvino.Model) -> None:
    """INT8 weights become floats: else each inference would unpack them, and convolve with reference code."""
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)


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
