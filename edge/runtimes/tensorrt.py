"""TensorRT on an NVIDIA GPU: build an engine on the board it will run on, and run it.

All calls of TensorRT's API are here, so that `make verify-tensorrt` can type-check them against the bindings of several
releases. That is the only check so far: no engine was built or run on a GPU.

Engines are strongly typed: the ONNX file alone decides which tensors are INT8, FP16 or FP32. TensorRT 10 has builder
flags beside that, TensorRT 11 has nothing else, so this serves all releases from 10.3 on.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorrt as trt

from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.errors import InputError
from tinydet.edge.files.regular_file import check_file, file_sha256, read_bytes
from tinydet.edge.files.writing import atomic_path
from tinydet.edge.runtimes.cuda import Buffer, Cuda, Stream
from tinydet.edge.runtimes.engine_sidecar import (
    Sidecar,
    check_engine,
    is_current,
    read_sidecar,
    surroundings,
    write_sidecar,
)
from tinydet.edge.runtimes.onnx_metadata import read_onnx
from tinydet.edge.runtimes.runtime import Runtime, check_device

INPUT = "image"

_logger = logging.getLogger(__name__)


class _Log(trt.ILogger):  # type: ignore[misc]  # no types where TensorRT is not installed
    """Sends TensorRT's messages to `logging`, and keeps the last error for the user's one line."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.last_error = "no reason given"

    def log(self, severity: trt.ILogger.Severity, msg: str) -> None:
        """Called by TensorRT, from any of its threads."""
        if severity in (trt.ILogger.Severity.INTERNAL_ERROR, trt.ILogger.Severity.ERROR):
            self.last_error = msg
            _logger.info("TensorRT: %s", msg)  # it is raised as an `InputError` later
        else:
            _logger.debug("TensorRT: %s", msg)


class TensorRtRuntime(Runtime):
    """An engine with a CUDA stream of its own; images and outputs go through pinned memory.

    Closing it closes `resources`.
    """

    def __init__(self, engine: trt.ICudaEngine, cuda: Cuda, sidecar: Sidecar, resources: ExitStack) -> None:
        self.metadata = sidecar.metadata
        self.fingerprint = sidecar.engine_sha256
        self.name = f"tensorrt {trt.__version__}"
        self.device = sidecar.surroundings.gpu
        self.provider = f"CUDA, compute capability {sidecar.surroundings.compute_capability}"
        self._batch = sidecar.batch
        self._cuda = cuda
        self._stream = Stream(cuda)
        resources.callback(self._stream.close)
        shapes = {INPUT: (*self.metadata.input_hw, 3), **self.metadata.output_shapes}
        self._buffers = {}
        for name, shape in shapes.items():
            dtype = np.uint8 if name == INPUT else np.float32
            self._buffers[name] = Buffer(cuda, (self._batch, *shape), dtype)
            resources.callback(self._buffers[name].close)
        context: trt.IExecutionContext | None = engine.create_execution_context()
        if context is None:
            raise InputError("TensorRT has no memory for this engine: close other programs that use the GPU")
        for name, buffer in self._buffers.items():
            context.set_tensor_address(name, buffer.address)
        self._context = context
        self._turn = Lock()  # the buffers hold one batch at a time
        self._resources = resources.pop_all()

    @classmethod
    def open(cls, path: Path, *, threads: int | None = None, device: str | None = None) -> TensorRtRuntime:
        """See `Runtime.open`. An engine of another machine or power mode is refused."""
        check_device(path, device, ("tensorrt", "gpu"), "a TensorRT engine", threads=threads)
        check_file(path, what="engine", fix="build it with `tinydet build-engine`")
        sidecar = read_sidecar(path)
        with ExitStack() as resources:
            cuda = Cuda()
            resources.callback(cuda.close)
            check_engine(path, sidecar, surroundings(trt.__version__, cuda.gpu()))
            log = _Log()
            engine = trt.Runtime(log).deserialize_cuda_engine(read_bytes(path, what="engine"))
            if engine is None:
                raise InputError(f"cannot load {path}: {log.last_error}")
            _check_interface(engine, sidecar.metadata, path)
            return cls(engine, cuda, sidecar, resources)

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        return ("tensorrt",)

    def _run(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        """See `Runtime.infer`. Images beyond the engine's batch are run in turn."""
        self._cuda.enter()
        parts = [
            self._infer_at_once(images_nhwc_u8[start : start + self._batch])
            for start in range(0, len(images_nhwc_u8), self._batch)
        ]
        return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]

    def _infer_at_once(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        count = len(images_nhwc_u8)
        image, *outputs = self._buffers.values()
        with self._turn:
            image.host[:count] = images_nhwc_u8
            image.upload(self._stream, count)
            has_shape = self._context.set_input_shape(INPUT, images_nhwc_u8.shape)
            if not has_shape or not self._context.execute_async_v3(self._stream.handle):
                raise InputError(f"TensorRT did not run {count} images: see the log (-vv)")
            for output in outputs:
                output.download(self._stream, count)
            self._stream.wait()
            return [output.host[:count].copy() for output in outputs]

    def _release(self) -> None:
        del self._context  # before the memory it uses
        self._resources.close()


def build_engine(source: Path, engine: Path, *, batch: int, workspace_mb: int) -> bool:
    """Build `engine` and its sidecar from the ONNX artifact `source`, for this machine; minutes on a Jetson.

    Returns False if that engine is already there. Kernel timings are kept beside it, so that the next build in the same
    surroundings is faster.

    Raises:
        InputError: `source` is no artifact, this machine has no NVIDIA GPU, or TensorRT cannot build.
    """
    metadata = read_onnx(source).metadata
    cuda = Cuda()
    try:
        here = surroundings(trt.__version__, cuda.gpu())
        sidecar = Sidecar(
            surroundings=here,
            source=source.name,
            source_sha256=file_sha256(source),
            engine_sha256="",
            batch=batch,
            workspace_mb=workspace_mb,
            metadata=metadata,
        )
        if is_current(engine, sidecar):
            return False
        timing_cache = engine.with_name(f"{here.slug}.timing-cache")
        serialized = _build(source, metadata, timing_cache, batch=batch, workspace_mb=workspace_mb)
    finally:
        cuda.close()
    with atomic_path(engine) as partial:
        partial.write_bytes(serialized)
    write_sidecar(engine, replace(sidecar, engine_sha256=file_sha256(engine)))
    return True


def _build(source: Path, metadata: ArtifactMetadata, timing_cache: Path, *, batch: int, workspace_mb: int) -> bytes:
    """The engine as bytes. Raises `InputError` when TensorRT cannot build it."""
    log = _Log()
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(read_onnx(source).content):
        reasons = [parser.get_error(index).desc() for index in range(parser.num_errors)]
        raise InputError(f"TensorRT cannot read {source}: {'; '.join(reasons)}")
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace_mb << 20)
    cached = timing_cache.read_bytes() if timing_cache.is_file() else b""
    if not config.set_timing_cache(config.create_timing_cache(cached), ignore_mismatch=False):
        config.set_timing_cache(config.create_timing_cache(b""), ignore_mismatch=False)
    profile = builder.create_optimization_profile()
    one, most = (trt.Dims4([count, *metadata.input_hw, 3]) for count in (1, batch))
    profile.set_shape(INPUT, one, most, most)
    config.add_optimization_profile(profile)
    serialized = builder.build_serialized_network(network, config)
    if serialized is None:
        raise InputError(f"TensorRT cannot build an engine from {source}: {log.last_error}")
    with atomic_path(timing_cache) as partial:
        partial.write_bytes(_bytes(config.get_timing_cache().serialize()))
    return _bytes(serialized)


def _bytes(memory: trt.IHostMemory) -> bytes:
    buffer: Any = memory  # it supports the buffer protocol, but its type does not say so
    return bytes(buffer)


def _check_interface(engine: trt.ICudaEngine, metadata: ArtifactMetadata, path: Path) -> None:
    """Check that names, types and shapes are those that the metadata promises."""
    promised = {INPUT: (trt.uint8, (*metadata.input_hw, 3))}
    promised.update({name: (trt.float32, shape) for name, shape in metadata.output_shapes.items()})
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = {name: (engine.get_tensor_dtype(name), _shape(engine, name)) for name in names}
    if found != promised:
        raise InputError(f"{path}: metadata promises {promised}, the engine has {found}: build it again")


def _shape(engine: trt.ICudaEngine, name: str) -> tuple[int, ...]:
    """A tensor's shape without the batch."""
    dims = engine.get_tensor_shape(name)
    return tuple(dims[index] for index in range(1, len(dims)))
