"""ONNX Runtime, on the CPU unless another device is asked for.

On NVIDIA GPUs it runs its own kernels (`gpu`) or TensorRT (`tensorrt`), which builds its engine when the file is
opened, in minutes on a Jetson, and keeps it in the cache. Both take the float artifacts. Neither was ever run on a GPU;
only the refusal where there is none was tested. For INT8 on a Jetson use `tinydet build-engine`.

INT8 arithmetic on x86, measured with u8 x s8 convolutions against integer arithmetic: a CPU with AVX2 but without VNNI
multiplies with an instruction that adds two products in 16 bits and saturates (`vpmaddubsw`). With values and weights
over the whole range 2 to 22 % of a layer's outputs were off by more than one step, some by the whole range; with
activations as they leave a ReLU (few near 255) none was. `exact=True` (`session.x64quantprecision`) makes all sums
exact and takes 1.6 times as long for the whole network `n`. VNNI and Arm are always exact.

The fast path is the default because our artifacts do not need the exact one: their weights keep every pair of products
within 16 bits (`tinydet.quantization.weights`), and both paths then agree bit for bit. `exact` serves to check that.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.files.native_stderr import caught_stderr
from tinydet.edge.runtimes.compile_cache import cache_folder
from tinydet.edge.runtimes.onnx_metadata import OnnxFile, read_onnx
from tinydet.edge.runtimes.runtime import Runtime, check_device, one_line

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
PROVIDERS = {"cpu": (CPU,), "gpu": (CUDA,), "tensorrt": (TENSORRT, CUDA)}
"""Execution providers by device; operators that TensorRT does not support run on the same GPU."""
_DISABLED_OPTIMIZERS = ("WeightBiasQuantization",)
"""Optimizations that change results: this one rounds the weights of a float convolution between INT8 tensors to 8 bits,
one scale for all channels, though the file has floats (`--float-blocks`). A file that is all INT8 has none."""

#: Errors of loading or running a model: onnxruntime's errors have no common base class.
_ERRORS = (
    state.EPFail,
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoModel,
    state.NotImplemented,
    state.RuntimeException,
    RuntimeError,
)


class OnnxRuntime(Runtime):
    """A session whose threads sleep between images instead of spinning."""

    _errors = _ERRORS

    def __init__(self, session: onnxruntime.InferenceSession, file: OnnxFile) -> None:
        self.metadata = file.metadata
        self.fingerprint = file.weights
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.provider = session.get_providers()[0]
        self.device = "CPU" if self.provider == CPU else "NVIDIA GPU"
        self._session = session
        self._input_name = session.get_inputs()[0].name

    @classmethod
    def open(
        cls, path: Path, *, threads: int | None = None, device: str | None = None, exact: bool = False
    ) -> OnnxRuntime:
        """See `Runtime.open`. exact: slower, exact INT8 sums on x86 without VNNI (see the module's docstring)."""
        device = check_device(path, device, tuple(PROVIDERS), "onnxruntime", threads=threads)
        providers = _providers(path, device)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors arrive as exceptions; nothing is written to the terminal
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if exact:
            options.add_session_config_entry("session.x64quantprecision", "1")
        if CPU not in providers:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        file = read_onnx(path)
        lines: list[bytes] = []
        try:
            with caught_stderr() if CPU not in providers else nullcontext(lines) as lines:
                session = onnxruntime.InferenceSession(
                    file.content,
                    options,
                    providers=_with_cache(providers),
                    enable_fallback=0,
                    disabled_optimizers=_DISABLED_OPTIMIZERS,
                )
            _check_interface(session, file.metadata, path)
        except (*_ERRORS, UnicodeDecodeError) as error:
            if CPU not in providers:
                raise InputError(f"cannot run {path} on {device}: {_missing(lines) or _reason(error)}") from error
            raise InputError(f"cannot load {path}: not an ONNX model, or cut short ({_reason(error)})") from error
        # The CPU's provider is always listed last, but `disable_cpu_ep_fallback` keeps it from running anything.
        if session.get_providers() != list(dict.fromkeys([*providers, CPU])):
            raise InputError(f"cannot run {path} on {device}: onnxruntime chose {session.get_providers()}")
        return cls(session, file)

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        available = onnxruntime.get_available_providers()
        return tuple(device for device, providers in PROVIDERS.items() if set(providers) <= set(available))

    def _run(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        outputs: list[Any] = self._session.run(list(self.metadata.output_shapes), {self._input_name: images_nhwc_u8})
        return outputs

    def _release(self) -> None:
        del self._session


def _providers(path: Path, device: str) -> tuple[str, ...]:
    """The execution providers of a device. Raises `InputError` where this package was built without them."""
    missing = set(PROVIDERS[device]) - set(onnxruntime.get_available_providers())
    if missing:
        raise InputError(
            f"cannot run {path} on {device}: this onnxruntime {onnxruntime.__version__} was built without "
            f"{', '.join(sorted(missing))}; onnxruntime-gpu has it, in place of onnxruntime"
        )
    return PROVIDERS[device]


def _with_cache(providers: Sequence[str]) -> list[str | tuple[str, dict[str, str]]]:
    """The providers with a cache folder for TensorRT, which otherwise builds its engine, for minutes, at each start."""
    folder = cache_folder("onnxruntime-tensorrt") if TENSORRT in providers else None
    keep = {} if folder is None else {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
    return [(name, keep) if name == TENSORRT and keep else name for name in providers]


def _check_interface(session: onnxruntime.InferenceSession, metadata: ArtifactMetadata, path: Path) -> None:
    """Check inputs and outputs against the metadata; sizes that the file leaves open are checked when it runs."""
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(uint8)" or list(inputs[0].shape[1:]) != [*metadata.input_hw, 3]:
        found = ", ".join(f"{node.name} {node.type} {node.shape}" for node in inputs)
        expected = f"one uint8 image (N, {metadata.input_hw[0]}, {metadata.input_hw[1]}, 3)"
        raise InputError(f"{path}: metadata promises {expected} as input, the graph has {found or 'none'}")
    expected_names, names = list(metadata.output_shapes), [node.name for node in session.get_outputs()]
    if sorted(names) != sorted(expected_names):
        raise InputError(f"{path}: expected the outputs {', '.join(expected_names)}, the graph has {', '.join(names)}")


def _missing(lines: Sequence[bytes]) -> str | None:
    """The library that a provider lacks, as in `libcublas.so.13: cannot open shared object file`."""
    text = b"".join(lines).decode(errors="replace")
    found = re.search(r"with error: (\S+: cannot open shared object file)", text)
    return None if found is None else found[1]


def _reason(error: Exception) -> str:
    """The last part of `[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from x failed:Reason.`"""
    return one_line(str(error).rpartition("failed:")[2])
