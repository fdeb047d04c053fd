"""OpenVINO on Intel's CPUs, GPUs and NPUs, and on the CPUs of others.

On the CPU float arithmetic is fixed to 32 bits: newer CPUs would silently compute in bf16 otherwise. GPUs and NPUs
compute all but INT8 in 16 bits. On Arm INT8 artifacts are computed in float, on their INT8 grid: with OpenVINO's INT8
kernels for Arm (2026.4.1) ours silently gave empty outputs. The compiled model is kept in the cache: `n` is ready in
0.4 instead of 1.5 s on an x86 CPU. GPU and NPU were never run; only the refusal where there is none was tested.
"""

from __future__ import annotations

import platform
import re
from contextlib import suppress
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
from tinydet.edge.files.regular_file import MIB, file_sha256, kind_of, read_bytes
from tinydet.edge.runtimes.compile_cache import cache_folder
from tinydet.edge.runtimes.metadata import check_sum, check_weights, parse_metadata
from tinydet.edge.runtimes.runtime import Runtime, check_device, one_line

NAMES = {"cpu": "CPU", "gpu": "GPU", "npu": "NPU"}
"""OpenVINO's names by device."""
ARM = ("aarch64", "arm")
"""Beginnings of `platform.machine()` on Arm."""
ONE_IMAGE = {"cpu", "npu"}
"""Devices that get images one by one: an NPU takes no batches, and a CPU is 5 % faster with a fixed shape."""
WEIGHTS_KEY = "tinydet_weights_sha256"
"""Key in the .xml for the hash of its .bin."""
GRAPH_KEY = "tinydet_graph_crc32"
"""Key in the .xml for the check sum of the .xml itself, apart from the metadata."""
XML_BYTES = 64 * MIB
"""Largest .xml; that of `r50` has 1 MB."""


class OpenvinoRuntime(Runtime):
    """A compiled model and the number of inference requests that OpenVINO advises."""

    def __init__(
        self, compiled: openvino.CompiledModel, metadata: ArtifactMetadata, device: str, *, fingerprint: str
    ) -> None:
        self.metadata = metadata
        self.fingerprint = fingerprint
        self.name = f"openvino {openvino.__version__.partition('-')[0]}"
        self.device = device
        self.provider = ",".join(compiled.get_property("EXECUTION_DEVICES"))
        self.parallel = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._compiled = compiled
        self._one_image = bool(compiled.input(0).get_partial_shape().is_static)
        self._idle: SimpleQueue[openvino.InferRequest] = SimpleQueue()
        for _ in range(self.parallel):
            self._idle.put(compiled.create_infer_request())

    @classmethod
    def open(cls, path: Path, *, threads: int | None = None, device: str | None = None) -> OpenvinoRuntime:
        """See `Runtime.open`. `path` is the .xml of an IR, with its .bin beside it."""
        device = check_device(path, device, tuple(NAMES), "openvino", threads=threads)
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
        name = NAMES[device]
        try:
            if device in ONE_IMAGE:
                model.reshape([1, *metadata.input_hw, 3])
            compiled = core.compile_model(model, name, settings)
            ran = compiled.get_property("EXECUTION_DEVICES")
        except RuntimeError as error:
            found = ", ".join(core.available_devices)
            raise InputError(f"cannot run {path} on {device}: {_reason(error)} (openvino finds {found})") from error
        if any(which.partition(".")[0] != name for which in ran):
            raise InputError(f"cannot run {path} on {device}: openvino chose {', '.join(ran)}")
        full_name = str(core.get_property(name, "FULL_DEVICE_NAME")).strip()
        return cls(compiled, metadata, full_name, fingerprint=check_sum([read_bytes(path)]))

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        """See `Runtime.devices`: the devices that OpenVINO finds on this machine."""
        found = {name.partition(".")[0] for name in openvino.Core().available_devices}
        return tuple(device for device, name in NAMES.items() if name in found)

    def _run(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """See `Runtime.infer`. `parallel` threads may call it at once."""
        if self._one_image and len(images_nhwc_u8) != 1:
            parts = [self._run(images_nhwc_u8[index : index + 1]) for index in range(len(images_nhwc_u8))]
            return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]
        request = self._idle.get()
        try:
            results = request.infer({0: images_nhwc_u8}, share_inputs=True)  # the results are copies
        finally:
            self._idle.put(request)
        outputs = [results[name] for name in self.metadata.output_shapes]
        if any(len(output) != len(images_nhwc_u8) for output in outputs):
            raise InputError(f"{self.name} gives no output for this artifact on {self.device}: use another runtime")
        return outputs

    def executed_operators(self) -> list[openvino.Node]:
        """The operators that the device executes; each node's rt_info has its layerType and runtimePrecision."""
        if self._is_closed:
            raise ValueError("this runtime was closed")
        return list(self._compiled.get_runtime_model().get_ops())

    def _release(self) -> None:
        del self._idle, self._compiled


def read_ir(core: openvino.Core, path: Path) -> tuple[openvino.Model, ArtifactMetadata]:
    """Read the model in `path` and its .bin, and its metadata. Raises `InputError` when one is unusable."""
    xml = read_bytes(path, what="artifact", limit_bytes=XML_BYTES)
    found = re.search(rf'<{WEIGHTS_KEY} value="([0-9a-f]{{64}})"'.encode(), xml)
    graph_sum = re.search(rf'<{GRAPH_KEY} value="([^"]*)"'.encode(), xml)
    if graph_sum is not None:
        check_weights(ir_check_sum(xml), graph_sum[1].decode(errors="replace"), path)
    weights = path.with_suffix(".bin")
    sha256 = None if found is None else found[1].decode()
    if sha256 is not None and kind_of(staged_weights(path, sha256)) == "file":
        _finish_export(path, sha256)
    if kind_of(weights) is None:
        raise InputError(f"artifact {weights} does not exist: an IR is two files side by side, .xml and .bin")
    weights_sha256 = file_sha256(weights, what="artifact")
    try:
        model = core.read_model(path, weights)
        text = model.get_rt_info([METADATA_KEY]).astype(str) if model.has_rt_info([METADATA_KEY]) else None
    except (RuntimeError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot load {path}: not an OpenVINO IR, cut short, or of another .bin ({_reason(error)})"
        ) from error
    metadata = parse_metadata(text, path)
    if sha256 != weights_sha256:
        raise InputError(f"{weights} is not the one that {path.name} was written with: export again")
    return model, metadata


def ir_check_sum(xml: bytes) -> str:
    """Check sum of the content of an .xml, apart from the metadata and from the sum itself."""
    return check_sum([re.sub(rf'<({METADATA_KEY}|{GRAPH_KEY}) value="[^"]*"'.encode(), b"", xml)])


def staged_weights(path: Path, sha256: str) -> Path:
    """The .bin of an export that was cut off before it got its name, beside the .xml `path` that names its hash."""
    return path.with_name(f".{path.stem}.{sha256[:16]}.bin")


def _finish_export(path: Path, sha256: str) -> None:
    """Give the .bin that belongs to the .xml its name: an export was killed between the two."""
    staged = staged_weights(path, sha256)
    if file_sha256(staged) == sha256:
        with suppress(OSError):  # a folder that cannot be written: the pair is refused
            staged.replace(path.with_suffix(".bin"))


def keep_rounding(model: openvino.Model) -> None:
    """Make the CPU plugin round a convolution's result before an addition.

    It fuses convolution, FakeQuantize, Add, FakeQuantize and leaves out the first rounding ("unsafe optimization" in
    its source, Convolution's post-ops); other runtimes round there. A PReLU of slope 1 in between, which changes no
    value, prevents that; Clamp, Maximum, and adding or multiplying by next to nothing did not.
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize" and _is_convolved(node) and "Add" in _readers(node):
            identity = opset.prelu(node.input_value(0), np.ones(1, np.float32))
            node.input(0).replace_source_output(identity.output(0))


def _is_convolved(quantize: openvino.Node) -> bool:
    """Whether a FakeQuantize reads a convolution, with or without its bias."""
    source = quantize.input_value(0).get_node()
    nodes = [source]
    if source.get_type_name() == "Add":
        nodes += [value.get_node() for value in source.input_values()]
    return any(node.get_type_name() in ("Convolution", "GroupConvolution") for node in nodes)


def _readers(quantize: openvino.Node) -> set[str]:
    """Types of the operators that read a FakeQuantize's values, as bytes or dequantized."""
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
    """Turn INT8 weights into floats once; otherwise each inference would, and would use reference convolutions."""
    passes = Manager()
    passes.register_pass(ConstantFolding())
    passes.run_passes(model)


def _check_interface(model: openvino.Model, metadata: ArtifactMetadata, path: Path) -> None:
    """Check that input and outputs are those that the metadata promises."""
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


def _reason(error: Exception) -> str:
    """The last line that has words; the lines above it name source files."""
    return one_line(str(error)) or "no reason given"
