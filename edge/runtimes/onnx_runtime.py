"""ONNX Runtime, on the CPU unless another back end (a "provider") is asked for.

INT8 arithmetic on x86, measured with u8 x s8 convolutions against integer arithmetic: a CPU with AVX2 but without VNNI
multiplies through an instruction that adds two products in 16 bits and saturates (`vpmaddubsw`). With values and
weights over the whole range 2 to 22 % of a layer's outputs were off by more than one step, some by the whole range;
with activations as they leave a ReLU (few near 255) none was. `exact=True` (`session.x64quantprecision`) makes all sums
exact at 1.6 times the time of the whole network `n`. VNNI and Arm are exact by themselves.

The fast path is the default because our artifacts need no other: their weights keep every pair of products within
16 bits (`quantization.weights`), and both paths then agree bit for bit. `exact` is how that is checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnxruntime.capi import onnxruntime_pybind11_state as state

from edge.artifact import METADATA_KEY, ArtifactMetadata
from edge.errors import InputError
from edge.runtimes import Runtime

PROVIDER = "CPUExecutionProvider"
#: In every build for the CPU, but it computes elsewhere: it sends the images to a service on the network.
_REMOTE_PROVIDER = "AzureExecutionProvider"

#: What loading a file that is damaged or no ONNX model raises: onnxruntime's errors have no base class of their own.
_LOAD_ERRORS = (
    state.Fail,
    state.InvalidArgument,
    state.InvalidGraph,
    state.InvalidProtobuf,
    state.NoModel,
    state.NotImplemented,
    state.RuntimeException,
)


class OnnxRuntime(Runtime):
    """A session with threads that sleep instead of spinning between images."""

    def __init__(self, session: onnxruntime.InferenceSession, metadata: ArtifactMetadata) -> None:
        self.metadata = metadata
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.device = "CPU"
        self.provider = session.get_providers()[0]
        self._session: onnxruntime.InferenceSession | None = session
        self._input_name = session.get_inputs()[0].name

    @classmethod
    def open(cls, path: Path, *, threads: int | None, exact: bool = False, provider: str = PROVIDER) -> OnnxRuntime:
        """Load an ONNX artifact; `exact` trades time for exact INT8 sums on x86 without VNNI (see the module).

        `provider` must run every operator of it: there is no silent fallback to the CPU.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # errors arrive as exceptions; the library writes nothing to the terminal
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if exact:
            options.add_session_config_entry("session.x64quantprecision", "1")
        if provider != PROVIDER:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
        if not path.is_file():
            raise InputError(f"artifact {path} does not exist")
        try:
            session = onnxruntime.InferenceSession(path, options, providers=[provider])
        except _LOAD_ERRORS as error:
            if provider != PROVIDER:
                raise InputError(f"cannot run {path} on {provider}: {_reason(error)}") from error
            raise InputError(f"cannot load {path}: not an ONNX model, or cut short ({_reason(error)})") from error
        # The CPU's is listed behind every other, but was kept from taking anything over.
        if session.get_providers() != list(dict.fromkeys([provider, PROVIDER])):
            raise InputError(f"cannot run {path} on {provider}: onnxruntime chose {session.get_providers()}")
        metadata = _read_metadata(session, path)
        _check_interface(session, metadata, path)
        return cls(session, metadata)

    @classmethod
    def providers(cls) -> tuple[str, ...]:
        """See `Runtime.providers`."""
        return tuple(name for name in onnxruntime.get_available_providers() if name != _REMOTE_PROVIDER)

    def infer(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """See `Runtime.infer`."""
        if self._session is None:
            raise ValueError("this runtime was closed")
        self.check_images(images_nhwc_u8)
        outputs: list[Any] = self._session.run(list(self.metadata.output_shapes), {self._input_name: images_nhwc_u8})
        for output, (name, shape) in zip(outputs, self.metadata.output_shapes.items(), strict=True):
            if output.shape[1:] != shape:
                raise InputError(f"artifact output {name}: metadata promises (N, *{shape}), got {output.shape}")
        return outputs

    def close(self) -> None:
        """See `Runtime.close`."""
        self.finish()
        self._session = None


def _read_metadata(session: onnxruntime.InferenceSession, path: Path) -> ArtifactMetadata:
    properties = session.get_modelmeta().custom_metadata_map
    if METADATA_KEY not in properties:
        raise InputError(f"{path} carries no tinydet metadata: make artifacts with `tinydet export`")
    try:
        return ArtifactMetadata.from_json(properties[METADATA_KEY])
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _check_interface(session: onnxruntime.InferenceSession, metadata: ArtifactMetadata, path: Path) -> None:
    """Inputs and outputs must be those the metadata promises; sizes left open in the file are checked when it runs."""
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(uint8)" or list(inputs[0].shape[1:]) != [*metadata.input_hw, 3]:
        found = ", ".join(f"{node.name} {node.type} {node.shape}" for node in inputs)
        expected = f"one uint8 image (N, {metadata.input_hw[0]}, {metadata.input_hw[1]}, 3)"
        raise InputError(f"{path}: metadata promises {expected} as input, the graph has {found or 'none'}")
    expected_names, names = list(metadata.output_shapes), [node.name for node in session.get_outputs()]
    if sorted(names) != sorted(expected_names):
        raise InputError(f"{path}: expected the outputs {', '.join(expected_names)}, the graph has {', '.join(names)}")


def _reason(error: Exception) -> str:
    """The last part of `[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from x failed:Reason.`"""
    return str(error).rpartition("failed:")[2].strip().rstrip(".")
