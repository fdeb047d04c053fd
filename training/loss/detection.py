"""Loss of a batch: classes, boxes and masks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tinydet.training.data.batch import Target
from tinydet.training.distributed import global_sum, shared_sum
from tinydet.training.loss.assigner import Assigner, DynamicAssigner, SizeAssigner
from tinydet.training.loss.dcloss import AITOD_BAND_EDGES_PX, GradientBalance, band_of
from tinydet.training.loss.mask import mask_loss
from tinydet.training.loss.points import distances_to_boxes, flatten_levels, inside_any, make_points
from tinydet.training.loss.similarity import diou, iou
from tinydet.training.model import ModelConfig, RawOutputs
from tinydet.training.recipes.recipe import Balance

FOCUS = 2.0  # exponent of the quality focal loss
BOX_WEIGHT = 2.0
MASK_WEIGHT = 0.1


class Loss(NamedTuple):
    """Weighted scalars: total = objects + background + boxes + mask. positives: number of cells assigned to objects.

    objects: class loss of the assigned cells; background: of all others. With several processes the values are those of
    the whole batch, the gradients those of this process's share (`tinydet.training.distributed`).
    """

    total: Tensor
    objects: Tensor
    background: Tensor
    boxes: Tensor
    mask: Tensor
    positives: int


class DetectionLoss(nn.Module):
    """Class, box and mask loss over all levels; `balance` is DCLoss's, without it every size band has weight 1.

    Class: quality focal loss (GFL, arXiv:2006.04388, eq. 2), with target q = IoU of the predicted box for the
    object's class in its cells and 0 elsewhere:   |q - p|^2 * BCE(p, q).   Box: 1 - DIoU. Both are summed over the
    cells and divided by the number of positives, at least one. Cells centred in an ignored region do not count as
    background.
    """

    def __init__(
        self,
        strides: tuple[int, ...],
        assigner: Assigner,
        *,
        balance: Balance,
        band_edges_px: tuple[float, ...] = AITOD_BAND_EDGES_PX,
    ) -> None:
        super().__init__()
        self.strides = strides
        self.assigner = assigner
        self.band_edges_px = band_edges_px
        bands, per_object = len(band_edges_px) + 1, balance == "object"
        self.class_balance = None if balance == "none" else GradientBalance(bands, per_object=per_object)
        self.box_balance = None if balance == "none" else GradientBalance(bands, per_object=per_object)

    def forward(self, raw: RawOutputs, targets: list[Target]) -> Loss:
        points = make_points(raw.logits, self.strides)
        logits = flatten_levels(raw.logits)  # (N, P, classes)
        distances = flatten_levels(raw.distances)  # (N, P, 4)
        boxes = distances_to_boxes(distances, points.centres_px, points.strides)

        image_index, cell_index, object_boxes, object_classes, object_parts = [], [], [], [], []
        for image, target in enumerate(targets):
            assignment = self.assigner(points, logits[image].detach(), boxes[image].detach(), target)
            image_index.append(torch.full_like(assignment.positives, image))
            cell_index.append(assignment.positives)
            object_boxes.append(target.boxes_xyxy_px[assignment.objects])
            object_classes.append(target.class_ids[assignment.objects])
            object_parts.append(1 / assignment.objects.bincount()[assignment.objects])
        images, cells = torch.cat(image_index), torch.cat(cell_index)
        truth_xyxy, classes, parts = torch.cat(object_boxes), torch.cat(object_classes), torch.cat(object_parts)
        bands = band_of(truth_xyxy, self.band_edges_px)
        positives = int(global_sum(torch.tensor(len(cells), device=cells.device)))
        count = max(positives, 1)

        quality = torch.zeros_like(logits)
        quality[images, cells, classes] = iou(boxes[images, cells].detach(), truth_xyxy)
        gap = (quality - logits.sigmoid()).abs()
        class_loss = gap.pow(FOCUS) * F.binary_cross_entropy_with_logits(logits, quality, reduction="none")
        class_loss = class_loss * torch.stack([target.labelled for target in targets])[:, None, :]
        is_background = torch.stack([~inside_any(points.centres_px, target.ignored_xyxy_px) for target in targets])
        is_background = is_background[:, :, None].repeat(1, 1, logits.shape[2])
        is_background[images, cells, classes] = False
        background = shared_sum(class_loss.masked_fill(~is_background, 0).sum()) / count

        object_loss = class_loss[images, cells, classes]
        object_gap = gap.detach()[images, cells, classes]
        weights = self._weights(self.class_balance, bands, object_gap, parts)
        object_loss = shared_sum((object_loss * weights).sum()) / count

        box_loss = 1 - diou(boxes[images, cells], truth_xyxy)
        pull = self._box_gradient(distances[images, cells], points.centres_px[cells], points.strides[cells], truth_xyxy)
        weights = self._weights(self.box_balance, bands, pull, parts)
        box_loss = BOX_WEIGHT * shared_sum((box_loss * weights).sum()) / count

        mask = MASK_WEIGHT * mask_loss(raw.masks, targets, self.strides) if raw.masks else background.new_zeros(())
        return Loss(object_loss + background + box_loss + mask, object_loss, background, box_loss, mask, positives)

    def _weights(self, balance: GradientBalance | None, bands: Tensor, magnitudes: Tensor, parts: Tensor) -> Tensor:
        if balance is None:
            return torch.ones_like(magnitudes)
        if self.training:
            balance.update(bands, magnitudes, parts)
        return balance.weights()[bands]

    @staticmethod
    def _box_gradient(distances: Tensor, centres_px: Tensor, strides: Tensor, truth_xyxy: Tensor) -> Tensor:
        """Norm (K,) of the box loss's gradient with respect to the four distances of each positive cell."""
        with torch.enable_grad():
            leaf = distances.detach().requires_grad_()
            loss = (1 - diou(distances_to_boxes(leaf, centres_px, strides), truth_xyxy)).sum()
            (gradient,) = torch.autograd.grad(loss, leaf)
        norms: Tensor = gradient.norm(dim=-1)
        return norms


def build_loss(config: ModelConfig, *, balance: Balance = "object", nwd: bool = True) -> DetectionLoss:
    """Build the loss of a network, with the dynamic assigner unless it is a plain FPN."""
    return DetectionLoss(config.strides, build_assigner(config, nwd=nwd, dynamic=True), balance=balance)


def build_assigner(config: ModelConfig, *, nwd: bool, dynamic: bool) -> Assigner:
    """Build the dynamic assigner if `dynamic` and the network is E-FPN-BS, otherwise the assigner by size."""
    return DynamicAssigner(use_nwd=nwd) if dynamic and config.neck != "fpn" else SizeAssigner()
