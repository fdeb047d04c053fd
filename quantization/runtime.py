"""A quantized graph as a runtime: what no artifact carries (experimental grids) is measured by the same `Detector`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.runtimes.runtime import Runtime, check_device
from tinydet.quantization.ptq import QuantizedNetwork
from tinydet.quantization.quantized_file import load_quantized
from tinydet.training.checkpoint import LoadedDetector
from tinydet.training.torch_runtime import float_metadata


class GraphRuntime(Runtime):
    """Runs `QuantizedNetwork.graph` in torch: float arithmetic between values rounded to the grid."""

    def __init__(self, loaded: LoadedDetector, network: QuantizedNetwork) -> None:
        metadata: ArtifactMetadata = float_metadata(
            loaded.model, input_px=loaded.input_px, checkpoint_sha256=loaded.sha256
        )
        self.metadata = replace(metadata, input_hw=network.input_hw)
        self.graph = network.graph
        self.name = f"torch {torch.__version__}"
        self.device, self.provider = "CPU", "cpu"

    @classmethod
    def open(cls, path: Path, *, threads: int | None = None, device: str | None = None) -> GraphRuntime:
        """What `tinydet.quantization.quantized_file.save_quantized` wrote. Raises `InputError` for anything else."""
        check_device(path, device, cls.devices(), "a quantized graph")
        if threads is not None:
            torch.set_num_threads(threads)
        state = load_quantized(path)
        return cls(state.loaded, state.network)

    @torch.no_grad()
    def infer(self, images_nhwc_u8: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """See `Runtime.infer`."""
        images = torch.from_numpy(np.ascontiguousarray(images_nhwc_u8)).permute(0, 3, 1, 2)
        return [output.permute(0, 2, 3, 1).numpy() for output in self.graph(images.contiguous().float().div_(255.0))]

    def close(self) -> None:
        """Nothing is held open."""
