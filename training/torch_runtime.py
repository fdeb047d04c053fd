"""Runtime for checkpoints, so that `Detector` runs a network in training just as an artifact on a board."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.runtimes.runtime import Runtime, check_device
from tinydet.training.checkpoint import load_detector
from tinydet.training.model import TinyDetector

SCORE_THRESHOLD = 0.45  # best F1 of the bundled `n`, on photographs and on rendered scenes
NMS_IOU_THRESHOLD = 0.5
MAX_DETECTIONS = 1500  # AI-TOD's protocol


class TorchRuntime(Runtime):
    """Runs a `TinyDetector` in float32, on the device of its weights."""

    def __init__(self, model: TinyDetector, *, input_px: int, checkpoint_sha256: str) -> None:
        self.model = model.eval()
        self.metadata = float_metadata(model, input_px=input_px, checkpoint_sha256=checkpoint_sha256)
        self.torch_device = next(model.parameters()).device
        self.device = torch.cuda.get_device_name(self.torch_device) if self.torch_device.type == "cuda" else "CPU"
        self.name = f"torch {torch.__version__}"
        self.provider = self.torch_device.type

    @classmethod
    def open(cls, path: Path, *, threads: int | None = None, device: str | None = None) -> TorchRuntime:
        """Load the checkpoint at `path`, on the GPU if there is one. Raises `InputError` for any other file."""
        device = check_device(path, device, cls.devices(), "torch", threads=threads)
        if threads is not None:
            torch.set_num_threads(threads)
        loaded = load_detector(path)
        model = loaded.model.to("cuda" if device == "gpu" else "cpu")
        return cls(model, input_px=loaded.input_px, checkpoint_sha256=loaded.sha256)

    @classmethod
    def devices(cls) -> tuple[str, ...]:
        return ("gpu", "cpu") if torch.cuda.is_available() else ("cpu",)

    @torch.inference_mode()
    def _run(self, images_nhwc_u8: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Map images (N, H, W, 3) to logits and distances per level, alternating, each (N, H/stride, W/stride, C)."""
        images = torch.from_numpy(np.ascontiguousarray(images_nhwc_u8)).to(self.torch_device)
        raw = self.model(images.permute(0, 3, 1, 2).float().div(255.0), masks=False)
        outputs = []
        for logits, distances in zip(raw.logits, raw.distances, strict=True):
            outputs += [logits.permute(0, 2, 3, 1).cpu().numpy(), distances.permute(0, 2, 3, 1).cpu().numpy()]
        return outputs


def float_metadata(model: TinyDetector, *, input_px: int, checkpoint_sha256: str) -> ArtifactMetadata:
    """Metadata of the artifacts made from this checkpoint, before quantization."""
    return ArtifactMetadata(
        model=model.config.size,
        class_names=model.config.class_names,
        input_hw=(input_px, input_px),
        strides=model.config.strides,
        score_threshold=SCORE_THRESHOLD,
        nms_iou_threshold=NMS_IOU_THRESHOLD,
        max_detections=MAX_DETECTIONS,
        precision="fp32",
        checkpoint_sha256=checkpoint_sha256,
        tool_versions={"torch": torch.__version__},
    )
