"""The sixteen functions of NVIDIA's driver that running an engine needs: GPU, memory, one stream.

Called through ctypes from libcuda.so.1, which comes with every driver and JetPack and keeps its functions compatible
across CUDA releases; a Python package (cuda-python) would have to match the board's CUDA release.

Names and signatures: CUDA Driver API reference, sections 6.3 to 6.18.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint64, c_void_p
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydet.edge.errors import InputError

LIBRARY = "libcuda.so.1"
MULTIPROCESSOR_COUNT, CAPABILITY_MAJOR, CAPABILITY_MINOR = 16, 75, 76  # CUdevice_attribute
NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING

# Device addresses are 64-bit integers (CUdeviceptr); contexts, streams and host addresses are pointers.
_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "cuInit": (c_int,),
    "cuDeviceGet": (c_void_p, c_int),
    "cuDeviceGetName": (c_char_p, c_int, c_int),
    "cuDeviceGetAttribute": (c_void_p, c_int, c_int),
    "cuDevicePrimaryCtxRetain": (c_void_p, c_int),
    "cuDevicePrimaryCtxRelease_v2": (c_int,),
    "cuCtxSetCurrent": (c_void_p,),
    "cuStreamCreate": (c_void_p, c_int),
    "cuStreamSynchronize": (c_void_p,),
    "cuStreamDestroy_v2": (c_void_p,),
    "cuMemAlloc_v2": (c_void_p, c_size_t),
    "cuMemFree_v2": (c_uint64,),
    "cuMemAllocHost_v2": (c_void_p, c_size_t),
    "cuMemFreeHost": (c_void_p,),
    "cuMemcpyHtoDAsync_v2": (c_uint64, c_void_p, c_size_t, c_void_p),
    "cuMemcpyDtoHAsync_v2": (c_void_p, c_uint64, c_size_t, c_void_p),
}


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """The GPU that an engine is built for."""

    name: str
    """For example `Orin`."""
    compute_capability: str
    """For example `8.7`."""
    multiprocessors: int
    """Number that is switched on: on a Jetson the power mode decides."""


class Cuda:
    """The first GPU, made ready for the calling thread.

    Raises `InputError` when there is no NVIDIA driver or no GPU.
    """

    def __init__(self, library: str = LIBRARY) -> None:
        try:
            self._driver = ctypes.CDLL(library)
        except OSError as error:
            raise InputError(f"no NVIDIA driver on this machine ({library} is missing): TensorRT needs one") from error
        for name, arguments in _ARGUMENTS.items():
            getattr(self._driver, name).argtypes = arguments
        self.call("cuInit", 0)
        device, context = c_int(), c_void_p()
        self.call("cuDeviceGet", byref(device), 0)
        self._device = device.value
        self.call("cuDevicePrimaryCtxRetain", byref(context), self._device)
        self._context = context
        self.enter()

    def enter(self) -> None:
        """Select the GPU for the calling thread: CUDA keeps the choice per thread."""
        self.call("cuCtxSetCurrent", self._context)

    def close(self) -> None:
        """Release the GPU; its memory and streams must have been released before."""
        self.call("cuDevicePrimaryCtxRelease_v2", self._device)

    def gpu(self) -> Gpu:
        """Name and properties of the GPU."""
        name = ctypes.create_string_buffer(256)
        self.call("cuDeviceGetName", name, len(name), self._device)
        major, minor, multiprocessors = map(self._attribute, (CAPABILITY_MAJOR, CAPABILITY_MINOR, MULTIPROCESSOR_COUNT))
        return Gpu(name=name.value.decode(), compute_capability=f"{major}.{minor}", multiprocessors=multiprocessors)

    def _attribute(self, attribute: int) -> int:
        value = c_int()
        self.call("cuDeviceGetAttribute", byref(value), attribute, self._device)
        return value.value

    def call(self, name: str, *arguments: Any) -> None:
        """Call a driver function. Raises `InputError` with its error code when it fails."""
        code = getattr(self._driver, name)(*arguments)
        if code:
            raise InputError(f"the NVIDIA driver refused {name} with error {code} (2: out of memory, 100: no GPU)")


class Stream:
    """A queue of copies and kernels that the GPU runs in order."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._handle = c_void_p()
        cuda.call("cuStreamCreate", byref(self._handle), NON_BLOCKING)

    @property
    def handle(self) -> int:
        """The stream's address, as TensorRT takes it; 0 is CUDA's default stream."""
        return self._handle.value or 0

    def wait(self) -> None:
        """Wait until everything queued is done."""
        self._cuda.call("cuStreamSynchronize", self._handle)

    def close(self) -> None:
        """Release the stream."""
        self._cuda.call("cuStreamDestroy_v2", self._handle)


class Buffer:
    """Memory on the GPU and pinned memory of the same size on the host, which the GPU copies from and to directly.

    host: array of `shape` and `dtype`. address: of the memory on the GPU.
    """

    def __init__(self, cuda: Cuda, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        self._cuda = cuda
        size = prod(shape) * np.dtype(dtype).itemsize
        device, host = c_uint64(), c_void_p()
        cuda.call("cuMemAlloc_v2", byref(device), size)
        cuda.call("cuMemAllocHost_v2", byref(host), size)
        self.address = device.value
        self._host_address = host
        assert host.value is not None
        pinned = (ctypes.c_uint8 * size).from_address(host.value)
        self.host: npt.NDArray[Any] = np.ctypeslib.as_array(pinned).view(dtype).reshape(shape)

    def upload(self, stream: Stream, count: int) -> None:
        """Queue the copy of the first `count` rows to the GPU."""
        size = self.host[:count].nbytes
        self._cuda.call("cuMemcpyHtoDAsync_v2", self.address, self._host_address, size, stream.handle)

    def download(self, stream: Stream, count: int) -> None:
        """Queue the copy of the first `count` rows from the GPU."""
        size = self.host[:count].nbytes
        self._cuda.call("cuMemcpyDtoHAsync_v2", self._host_address, self.address, size, stream.handle)

    def close(self) -> None:
        """Release both. `host` must not be used afterwards."""
        self._cuda.call("cuMemFree_v2", self.address)
        self._cuda.call("cuMemFreeHost", self._host_address)
