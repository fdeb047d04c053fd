"""CUDA calls against a driver that computes on host memory: every signature and the order of calls, without a GPU."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tinydet.edge.errors import InputError
from tinydet.edge.runtimes.cuda import Buffer, Cuda, Gpu, Stream

SOURCE = Path(__file__).with_name("host_driver.c")


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> str:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("driver") / "libhost.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    return str(library)


def test_gpu(driver: str) -> None:
    cuda = Cuda(driver)
    assert cuda.gpu() == Gpu(name="Host GPU", compute_capability="8.7", multiprocessors=16)
    cuda.close()


def test_a_buffer_goes_to_the_gpu_and_back(driver: str) -> None:
    cuda = Cuda(driver)
    stream = Stream(cuda)
    buffer = Buffer(cuda, (3, 4, 5), np.float32)
    assert buffer.host.shape == (3, 4, 5) and buffer.host.dtype == np.float32
    values = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    buffer.host[:] = values
    buffer.upload(stream, 3)
    buffer.host[:] = -1
    buffer.download(stream, 2)
    stream.wait()
    np.testing.assert_array_equal(buffer.host[:2], values[:2])
    assert (buffer.host[2] == -1).all()  # two rows were asked for
    buffer.close()
    stream.close()
    cuda.close()
    assert ctypes.CDLL(driver).live() == 0


def test_too_much_memory_is_one_line(driver: str) -> None:
    cuda = Cuda(driver)
    with pytest.raises(InputError, match=r"refused cuMemAlloc_v2 with error 2 \(2: out of memory"):
        Buffer(cuda, (1 << 31,), np.uint8)
    cuda.close()


def test_a_missing_driver_is_named() -> None:
    with pytest.raises(InputError, match=r"no NVIDIA driver on this machine \(libnowhere.so is missing\)"):
        Cuda("libnowhere.so")
