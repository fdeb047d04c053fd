"""Cutting a frame into overlapping tiles."""

from __future__ import annotations

import math
from typing import NamedTuple


class Tile(NamedTuple):
    """A window of a frame in pixels; right and bottom are exclusive."""

    left: int
    top: int
    right: int
    bottom: int


def tiles_of(width: int, height: int, *, tile_px: int, overlap_px: int) -> list[Tile]:
    """Cut a frame into the fewest tiles of `tile_px` (or the frame's side, if shorter) that overlap by `overlap_px`.

    They are spread evenly, so that the overlap is as large as that number of tiles allows, and ordered row by row.
    """
    if not 0 <= overlap_px < tile_px:
        raise ValueError(f"overlap_px: expected 0 to {tile_px - 1}, got {overlap_px}")
    return [
        Tile(left, top, min(left + tile_px, width), min(top + tile_px, height))
        for top in _starts(height, tile_px, overlap_px)
        for left in _starts(width, tile_px, overlap_px)
    ]


def _starts(side: int, tile: int, overlap: int) -> list[int]:
    if side <= tile:
        return [0]
    count = math.ceil((side - overlap) / (tile - overlap))
    return [round(index * (side - tile) / (count - 1)) for index in range(count)]
