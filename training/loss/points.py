"""Cells of all levels in one list of P cells, finest level first, row by row."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Points(NamedTuple):
    """centres_px: (P, 2) x, y of each cell's centre. strides: (P,) pixels per cell. levels: (P,) index of the level."""

    centres_px: Tensor
    strides: Tensor
    levels: Tensor


def make_points(maps: list[Tensor], strides: tuple[int, ...]) -> Points:
    """List the cells of `maps`, tensors (N, C, H/stride, W/stride)."""
    centres, cell_strides, levels = [], [], []
    for level, (level_map, stride) in enumerate(zip(maps, strides, strict=True)):
        height, width = level_map.shape[-2:]
        y, x = torch.meshgrid(
            torch.arange(height, device=level_map.device), torch.arange(width, device=level_map.device), indexing="ij"
        )
        centres.append((torch.stack([x, y], dim=-1).reshape(-1, 2) + 0.5) * stride)
        cell_strides.append(torch.full((height * width,), float(stride), device=level_map.device))
        levels.append(torch.full((height * width,), level, device=level_map.device))
    return Points(torch.cat(centres), torch.cat(cell_strides), torch.cat(levels))


def flatten_levels(maps: list[Tensor]) -> Tensor:
    """Flatten maps [(N, C, H, W), ...] to (N, P, C) float32, in the order of `make_points`."""
    return torch.cat([level_map.flatten(2).transpose(1, 2) for level_map in maps], dim=1).float()


def distances_to_boxes(distances: Tensor, centres_px: Tensor, strides: Tensor) -> Tensor:
    """Convert distances (..., 4) in strides from cell centres (..., 2) to boxes (..., 4) in pixels."""
    pixels = distances * strides[..., None]
    return torch.cat([centres_px - pixels[..., :2], centres_px + pixels[..., 2:]], dim=-1)


def inside_any(points_xy_px: Tensor, boxes_xyxy_px: Tensor) -> Tensor:
    """(P,) bool: which of the points (P, 2) lie inside any of the boxes (M, 4)."""
    right_of = points_xy_px[:, None] >= boxes_xyxy_px[None, :, :2]
    left_of = points_xy_px[:, None] < boxes_xyxy_px[None, :, 2:]
    return (right_of & left_of).all(-1).any(-1)
