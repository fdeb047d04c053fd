"""Untrained detectors with the statistics of trained ones, and images for them; made once for all tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.fx import GraphModule

from tinydet.edge.detection.letterbox import Image
from tinydet.edge.files.images import write_image
from tinydet.quantization.export_graph import as_batch
from tinydet.quantization.ptq import Calibration, QuantizedNetwork
from tinydet.training.checkpoint import LoadedDetector
from tinydet.training.engine.pretrained import load_pretrained
from tinydet.training.model import TinyDetector, build_detector, model_config
from tinydet.training.model.config import Fbsm

INPUT_PX = 128
INPUT_HW = (INPUT_PX, INPUT_PX)
CLASS_NAMES = ("small-vehicle", "large-vehicle", "person")
CALIBRATION = {"count": 4, "sha256": "1" * 64, "images": ["a.png", "b.png", "c.png", "d.png"]}


def images(count: int, *, seed: int = 0, size_px: int = INPUT_PX) -> list[Image]:
    """(size_px, size_px, 3) uint8 each: soft blobs of colour with grain, so that neighbouring pixels are alike."""
    random = torch.Generator().manual_seed(seed)
    blobs = torch.rand(count, 3, size_px // 16, size_px // 16, generator=random)
    soft = nn.functional.interpolate(blobs, size=(size_px, size_px), mode="bicubic")
    grain = 0.08 * torch.randn(soft.shape, generator=random)
    pixels = (soft + grain).clamp(0, 1).mul(255).round().to(torch.uint8)
    return [np.ascontiguousarray(image) for image in pixels.permute(0, 2, 3, 1).numpy()]


def write_labelled_images(folder: Path, **seeds: int) -> Path:
    """A COCO data set in `folder`: for each split, given with the seed of its images, three with one person in each."""
    (folder / "annotations").mkdir()
    for split, seed in seeds.items():
        for index, image in enumerate(images(3, seed=seed)):
            write_image(folder / split / f"{index}.png", image)
        content = {
            "images": [{"id": i, "file_name": f"{i}.png", "width": INPUT_PX, "height": INPUT_PX} for i in range(3)],
            "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [10, 10, 12, 9]} for i in range(3)],
            "categories": [{"id": 1, "name": "person"}],
        }
        (folder / "annotations" / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


@cache
def detector(
    neck: str = "efpn-bs", *, cem: bool = True, fbsm: Fbsm = "gate", backbone: str | None = None
) -> TinyDetector:
    """ImageNet's backbone under a random neck and heads, all of which say something. In eval mode; do not change it."""
    torch.manual_seed(0)
    config = model_config("n", CLASS_NAMES, backbone=backbone, neck=neck, cem=cem, fbsm=fbsm)
    model = build_detector(config).eval()
    load_pretrained(model.backbone, config.backbone)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.BatchNorm2d) and not name.startswith("backbone"):
            nn.init.uniform_(layer.weight, 0.8, 1.5)
            nn.init.normal_(layer.bias, std=0.3)
            layer.momentum = None  # statistics are the plain mean over the images below
            layer.train()
    with torch.no_grad():
        model(torch.cat([as_batch(image) for image in images(8, seed=1)]))
    for name, parameter in model.named_parameters():
        if name.endswith(("class_logits.weight", "distances.weight", "mask.weight")):
            nn.init.normal_(parameter, std=0.15)
    return model.eval()


@cache
def loaded_detector() -> LoadedDetector:
    """`detector()` as if read from a checkpoint."""
    return LoadedDetector(model=detector(), input_px=INPUT_PX, sha256="2" * 64, training={})


def calibrated(model: TinyDetector, shown: Sequence[Image], *, float_blocks: Sequence[str] = ()) -> Calibration:
    """A calibration of `model` on images of one size."""
    height, width, _ = shown[0].shape
    calibration = Calibration(model, input_hw=(height, width), float_blocks=float_blocks)
    for image in shown:
        calibration.observe(image)
    return calibration


@cache
def quantized_graph(neck: str = "efpn-bs", *, cem: bool = True, fbsm: Fbsm = "gate") -> GraphModule:
    """`detector(...)` calibrated on four images."""
    return calibrated(detector(neck, cem=cem, fbsm=fbsm), images(4, seed=2)).quantized_graph("min-max")


@cache
def quantized_network() -> QuantizedNetwork:
    """`quantized_graph()` as the converters take it."""
    return QuantizedNetwork(graph=quantized_graph(), input_hw=INPUT_HW, method="ptq", calibration=CALIBRATION)
