"""Label assignment: which cells predict which object."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from tinydet.training.data.batch import Target
from tinydet.training.loss.points import Points
from tinydet.training.loss.similarity import iou, nwd

CENTRE_RADIUS_STRIDES = 2.5  # cells farther from an object's centre are never assigned to it
TOP_SIMILARITIES = 13  # cells whose similarities sum to the number of cells of an object
SIMILARITY_WEIGHT = 3.0
FAR = 1e8


class Assignment(NamedTuple):
    """positives: (K,) indices of assigned cells. objects: (K,) index of each cell's object in the target."""

    positives: Tensor
    objects: Tensor


class Assigner(Protocol):
    """Assigns cells to the objects of one image. All inputs are detached."""

    def __call__(self, points: Points, logits: Tensor, boxes_xyxy_px: Tensor, target: Target) -> Assignment:
        """Assign by the network's predictions: logits (P, classes) and boxes_xyxy_px (P, 4)."""
        ...


class DynamicAssigner:
    """Centre prior, then dynamic top-k (SimOTA, arXiv:2107.08430; soft centre prior of RTMDet, arXiv:2212.07784).

    The cost of object g and cell p (NWD beside IoU is ours) is

        BCE(score, s) |s - score|^2  -  3 log s  +  10^(d - 3),    s = (IoU + NWD) / 2

    with d the distance of their centres in strides. An object gets its k cheapest cells, k = sum of its 13 largest s,
    at least one; by IoU alone an 8-pixel object would get almost none, because an error of one pixel halves it. A cell
    chosen by several objects goes to the one of lowest cost. With `use_nwd=False`, s = IoU.
    """

    def __init__(self, *, use_nwd: bool = True) -> None:
        self.use_nwd = use_nwd

    @torch.no_grad()
    def __call__(self, points: Points, logits: Tensor, boxes_xyxy_px: Tensor, target: Target) -> Assignment:
        objects_xyxy = target.boxes_xyxy_px
        if len(objects_xyxy) == 0:
            return _nothing(points)
        centres = (objects_xyxy[:, :2] + objects_xyxy[:, 2:]) / 2
        distance = (points.centres_px[None] - centres[:, None]).norm(dim=-1) / points.strides  # (G, P) in strides
        reachable = distance < CENTRE_RADIUS_STRIDES
        cells = reachable.any(0).nonzero().squeeze(1)
        distance, reachable = distance[:, cells], reachable[:, cells]

        similarity = iou(objects_xyxy[:, None], boxes_xyxy_px[None, cells])
        if self.use_nwd:
            similarity = (similarity + nwd(objects_xyxy[:, None], boxes_xyxy_px[None, cells])) / 2
        class_logits = logits[cells][:, target.class_ids].T  # (G, cells)
        class_cost = F.binary_cross_entropy_with_logits(class_logits, similarity, reduction="none")
        class_cost = class_cost * (similarity - class_logits.sigmoid()).square()
        cost = class_cost - SIMILARITY_WEIGHT * torch.log(similarity + 1e-6) + 10 ** (distance - 3.0)
        cost = cost.masked_fill(~reachable, FAR)

        votes = similarity.masked_fill(~reachable, 0).topk(min(TOP_SIMILARITIES, len(cells)), dim=1).values
        wanted = votes.sum(1).int().clamp(min=1)
        rank = cost.argsort(dim=1, stable=True).argsort(dim=1, stable=True)
        chosen = (rank < wanted[:, None]) & reachable
        cheapest, owner = cost.masked_fill(~chosen, FAR).min(dim=0)
        taken = cheapest < FAR
        return Assignment(cells[taken], owner[taken])


class SizeAssigner:
    """Assigns by size to a level and by centre to its cells: the usual rule of a plain FPN.

    An object of size s = sqrt(area) goes to the first level with s <= 8 strides (RetinaNet's areas, arXiv:1708.02002:
    P2 to 32 px, P3 to 64, ... P6 the rest), and there to the cells within 1.5 strides of its centre that lie inside
    it (centre sampling, FCOS, arXiv:1904.01355), always to the nearest cell. Overlaps go to the smaller object.
    """

    RADIUS_STRIDES = 1.5
    STRIDES_PER_OBJECT = 8.0

    @torch.no_grad()
    def __call__(self, points: Points, logits: Tensor, boxes_xyxy_px: Tensor, target: Target) -> Assignment:
        objects_xyxy = target.boxes_xyxy_px
        if len(objects_xyxy) == 0:
            return _nothing(points)
        area = (objects_xyxy[:, 2:] - objects_xyxy[:, :2]).prod(-1)
        last = int(points.levels.max())
        level_strides = torch.stack([points.strides[points.levels == level][0] for level in range(last + 1)])
        too_large = area.sqrt()[:, None] > self.STRIDES_PER_OBJECT * level_strides[None]
        level = too_large.sum(1).clamp(max=last)

        centres = (objects_xyxy[:, :2] + objects_xyxy[:, 2:]) / 2
        offset = points.centres_px[None] - centres[:, None]  # (G, P, 2)
        on_level = points.levels[None] == level[:, None]
        near = (offset.abs() < self.RADIUS_STRIDES * points.strides[None, :, None]).all(-1)
        inside = (points.centres_px[None] > objects_xyxy[:, None, :2]).all(-1)
        inside &= (points.centres_px[None] < objects_xyxy[:, None, 2:]).all(-1)
        nearest = offset.norm(dim=-1).masked_fill(~on_level, FAR).argmin(dim=1)
        chosen = on_level & near & inside
        chosen[torch.arange(len(objects_xyxy), device=area.device), nearest] = True

        smallest, owner = area[:, None].expand_as(chosen).masked_fill(~chosen, FAR).min(dim=0)
        positives = (smallest < FAR).nonzero().squeeze(1)
        return Assignment(positives, owner[positives])


def _nothing(points: Points) -> Assignment:
    empty = torch.zeros(0, dtype=torch.int64, device=points.strides.device)
    return Assignment(empty, empty)
