"""Inspect a detector on one image: its masks, the gradients of its loss, its detections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from tinydet.edge.boxes import iou
from tinydet.edge.datasets.dataset import ImageRecord
from tinydet.edge.datasets.ignored_regions import mostly_inside
from tinydet.edge.detection.detector import Detector
from tinydet.edge.detection.letterbox import letterbox
from tinydet.edge.detections import Detections
from tinydet.edge.evaluation.average_precision import BAND_NAMES
from tinydet.edge.files.writing import atomic_path
from tinydet.training.data.batch import Target
from tinydet.training.loss import build_loss
from tinydet.training.model import TinyDetector
from tinydet.training.torch_runtime import TorchRuntime

MATCH_IOU = 0.5
FOUND, MISSED, WRONG = "#31d843", "#ffb000", "#ff2d2d"


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """Masks, detections and gradients of a detector on one image.

    masks: FBSM's foreground probabilities (H, W) of the letterboxed image, finest level first; empty without FBSM.
    detections: detections that count: not in ignored regions, on crowds or on objects of classes unknown to the model.
    gradient_by_level: share of the objects' gradient that reaches each level of the backbone, C2 to C5.
    gradient_by_band: share of the box gradient by AI-TOD band without DCLoss. balanced_by_band: with DCLoss.
    """

    image_rgb: NDArray[np.uint8]
    letterboxed_rgb: NDArray[np.uint8]
    detections: Detections
    truth_xyxy_px: NDArray[np.float32]
    truth_class_ids: NDArray[np.int64]
    masks: tuple[NDArray[np.float32], ...]
    gradient_by_level: dict[str, float]
    gradient_by_band: dict[str, float]
    balanced_by_band: dict[str, float]


def inspect(
    model: TinyDetector,
    image_rgb: NDArray[np.uint8],
    truth: ImageRecord | None,
    *,
    input_px: int,
    class_ids: NDArray[np.int64],
) -> Inspection:
    """Inspect `model` (eval mode) on an image (H, W, 3) uint8 RGB.

    truth: ground truth of the image; without it there are no gradients. class_ids: the model's class id of each of its
    objects, -1 for a class unknown to the model.
    """
    detector = Detector(TorchRuntime(model, input_px=input_px, checkpoint_sha256=""))
    letterboxed = letterbox(image_rgb, (input_px, input_px), detector.runtime.metadata.pad_value)
    tensor = torch.from_numpy(letterboxed.image).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        masks = tuple(torch.sigmoid(mask)[0, 0].numpy() for mask in model(tensor).masks)
    detections = detector.detect(image_rgb)
    boxes, known_ids = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    if truth is not None:
        known = (class_ids >= 0) & ~truth.is_crowd
        boxes, known_ids = truth.boxes_xyxy_px[known], class_ids[known]
        uncounted = np.concatenate([truth.ignored_xyxy_px, truth.boxes_xyxy_px[~known]])
        hidden = mostly_inside(detections.boxes_xyxy_px, uncounted, width=truth.width, height=truth.height)
        detections = detections.select(~hidden)
    levels: dict[str, float] = {}
    plain: dict[str, float] = {}
    balanced: dict[str, float] = {}
    if len(boxes):
        target = Target(
            boxes_xyxy_px=torch.from_numpy(letterboxed.from_source(boxes)),
            class_ids=torch.from_numpy(known_ids),
            labelled=torch.ones(len(model.config.class_names), dtype=torch.bool),
            ignored_xyxy_px=torch.zeros(0, 4),
        )
        levels = _gradient_by_level(model, tensor, target)
        plain, balanced = _gradient_by_band(model, tensor, target)
    return Inspection(
        image_rgb=image_rgb,
        letterboxed_rgb=letterboxed.image,
        detections=detections,
        truth_xyxy_px=boxes,
        truth_class_ids=known_ids,
        masks=masks,
        gradient_by_level=levels,
        gradient_by_band=plain,
        balanced_by_band=balanced,
    )


def _gradient_by_level(model: TinyDetector, image: torch.Tensor, target: Target) -> dict[str, float]:
    """Norm of the positive cells' gradient with respect to the features of each backbone level, as shares."""
    features: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: object, outputs: list[torch.Tensor]) -> None:
        for output in outputs:
            output.retain_grad()
        features.extend(outputs)

    handle = model.backbone.register_forward_hook(keep)
    try:
        raw = model(image)
    finally:
        handle.remove()
    loss = build_loss(model.config, balance="none")(raw, [target])
    model.zero_grad(set_to_none=True)
    (loss.objects + loss.boxes).backward()
    norms = [0.0 if feature.grad is None else float(feature.grad.norm()) for feature in features]
    model.zero_grad(set_to_none=True)
    return _shares({f"C{index}": norm for index, norm in enumerate(norms, start=2)})


def _gradient_by_band(
    model: TinyDetector, image: torch.Tensor, target: Target
) -> tuple[dict[str, float], dict[str, float]]:
    """Shares of the box loss's gradient magnitude by band, without and with the weights of DCLoss."""
    loss = build_loss(model.config).train()
    with torch.no_grad():
        raw = model(image)
    loss(raw, [target])
    assert loss.box_balance is not None
    share, weights = loss.box_balance.gradient_share, loss.box_balance.weights()
    plain = dict(zip(BAND_NAMES, share.tolist(), strict=True))
    balanced = dict(zip(BAND_NAMES, (share * weights).tolist(), strict=True))
    return _shares(plain), _shares(balanced)


def _shares(values: dict[str, float]) -> dict[str, float]:
    total = sum(values.values())
    return {name: value / total if total else 0.0 for name, value in values.items()}


def match_detections(
    found: Detections, truth_xyxy: NDArray[np.float32], truth_class_ids: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Match detections (best first) and objects of a class at IoU 0.5, one to one; (N,) and (M,) True if matched."""
    right, seen = np.zeros(len(found), bool), np.zeros(len(truth_xyxy), bool)
    overlap = iou(found.boxes_xyxy_px[:, None], truth_xyxy)
    overlap[found.class_ids[:, None] != truth_class_ids[None]] = 0
    for index in range(len(found)):
        free = np.where(seen, 0, overlap[index])
        if free.max(initial=0) >= MATCH_IOU:
            right[index] = seen[free.argmax()] = True
    return right, seen


def write_picture(path: Path, inspection: Inspection, *, title: str) -> None:
    """Draw detections and ground truth, the masks over the image, and the gradient shares, as one PNG."""
    masks = inspection.masks
    figure = Figure(figsize=(16, 9.5), layout="constrained")
    figure.suptitle(title)
    grid = figure.add_gridspec(2, 12)
    _draw_detections(figure.add_subplot(grid[0, :6]), inspection)
    if masks:
        _draw_mask(figure.add_subplot(grid[0, 6:]), inspection, 0)
        for index in range(1, len(masks)):
            _draw_mask(figure.add_subplot(grid[1, (index - 1) * 3 : index * 3]), inspection, index)
    left, right = figure.add_subplot(grid[1, 6:9]), figure.add_subplot(grid[1, 9:])
    _draw_shares(left, {"": inspection.gradient_by_level}, "Objects' gradient\nby backbone level")
    bands = {"without DCLoss": inspection.gradient_by_band, "with DCLoss": inspection.balanced_by_band}
    _draw_shares(right, bands, "Box gradient by object size\n(pixels of the input)")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=90)


def _draw_detections(axes: Axes, inspection: Inspection) -> None:
    axes.imshow(inspection.image_rgb)
    right, seen = match_detections(inspection.detections, inspection.truth_xyxy_px, inspection.truth_class_ids)
    groups = [(inspection.detections.boxes_xyxy_px, FOUND, "found")]
    if len(inspection.truth_xyxy_px):
        groups = [
            (inspection.detections.boxes_xyxy_px[right], FOUND, "found"),
            (inspection.truth_xyxy_px[~seen], MISSED, "missed"),
            (inspection.detections.boxes_xyxy_px[~right], WRONG, "wrong"),
        ]
    for boxes, colour, name in groups:
        for number, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
            label = f"{len(boxes)} {name}" if number == 0 else None
            axes.add_patch(
                Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1, label=label)
            )
    axes.set(title="Detections" + (" and ground truth, IoU 0.5" if len(inspection.truth_xyxy_px) else ""))
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", fontsize="small")
    axes.set_axis_off()


def _draw_mask(axes: Axes, inspection: Inspection, level: int) -> None:
    image = inspection.letterboxed_rgb
    mask = cv2.resize(inspection.masks[level], image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    axes.imshow(grey)
    axes.imshow(mask, cmap="magma", alpha=0.25 + 0.6 * mask, vmin=0, vmax=1)
    axes.set(title=f"FBSM mask on P{level + 2}")
    axes.set_axis_off()


def _draw_shares(axes: Axes, groups: dict[str, dict[str, float]], title: str) -> None:
    width = 0.8 / len(groups)
    drawn = False
    for number, (name, shares) in enumerate(groups.items()):
        positions = np.arange(len(shares)) + (number - (len(groups) - 1) / 2) * width
        bars = axes.bar(positions, [100 * share for share in shares.values()], width=width * 0.95, label=name or None)
        axes.bar_label(bars, fmt="%.0f", fontsize="small")
        axes.set_xticks(range(len(shares)), list(shares))
        drawn = drawn or bool(shares)
    axes.set(title=title, ylabel="share, %")
    if len(groups) > 1 and drawn:
        axes.legend(frameon=False, fontsize="small")
    if not drawn:
        axes.text(0.5, 0.5, "needs ground truth", ha="center", transform=axes.transAxes)
