"""Detecting in frames larger than the model's input: tile by tile, at the frame's own resolution."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from edge.detections import Detections
from edge.detector import Detector, Pending
from edge.nms import nms
from edge.tiles import Tile, tiles_of

OVERLAP_SHARE = 0.2
"""Of the input's side: objects up to that size are whole in at least one tile."""
MARGIN_SHARE = 0.02
"""Of the input's side: two tiles may disagree by this much on where the centre of an object is."""


class SlicedDetector:
    """A `Detector` for large frames; frames that fit the input are detected in whole.

    Every point of the frame belongs to the tile whose border is farthest away, and a detection counts if its centre
    belongs to the tile that saw it. An object cut by one tile's border is so left to the neighbour that sees it whole;
    NMS takes care of centres that fall on both sides of the line.
    """

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="slices")
        self._tile_px = min(detector.runtime.metadata.input_hw)

    def submit(self, image_rgb: npt.NDArray[np.uint8]) -> Pending:
        """As `Detector.submit`; all tiles and all stages count as inference."""
        return Pending(self._worker.submit(self.detect, image_rgb), lambda detections: detections, pre_ms=0.0)

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> Detections:
        """Detect in (H, W, 3) uint8 RGB; boxes are in pixels of that image, best score first."""
        height, width = image_rgb.shape[:2]
        overlap_px = round(OVERLAP_SHARE * self._tile_px)
        tiles = tiles_of(width, height, tile_px=self._tile_px, overlap_px=overlap_px)
        if len(tiles) == 1:
            return self.detector.detect(image_rgb)
        margin_px = MARGIN_SHARE * self._tile_px
        parts = []
        for tile in tiles:
            view = np.ascontiguousarray(image_rgb[tile.top : tile.bottom, tile.left : tile.right])
            parts.append(_own(self.detector.detect(view), tile, _core(tile, tiles), margin_px))
        return nms(
            Detections(
                boxes_xyxy_px=np.concatenate([part.boxes_xyxy_px for part in parts]),
                scores=np.concatenate([part.scores for part in parts]),
                class_ids=np.concatenate([part.class_ids for part in parts]),
            ),
            iou_threshold=self.detector.nms_iou_threshold,
            max_detections=self.detector.max_detections,
        )


def _core(tile: Tile, tiles: list[Tile]) -> npt.NDArray[np.float32]:
    """Left, top, right, bottom of what belongs to the tile: to the middle of each overlap, unbounded at the frame."""
    left = max((other.right for other in tiles if other.left < tile.left and other.top == tile.top), default=-np.inf)
    right = min((other.left for other in tiles if other.left > tile.left and other.top == tile.top), default=np.inf)
    top = max((other.bottom for other in tiles if other.top < tile.top and other.left == tile.left), default=-np.inf)
    bottom = min((other.top for other in tiles if other.top > tile.top and other.left == tile.left), default=np.inf)
    return np.array(
        [(tile.left + left) / 2, (tile.top + top) / 2, (tile.right + right) / 2, (tile.bottom + bottom) / 2], np.float32
    )


def _own(found: Detections, tile: Tile, core: npt.NDArray[np.float32], margin_px: float) -> Detections:
    """Detections of a tile whose centre is in its core, in pixels of the frame."""
    boxes = found.boxes_xyxy_px + np.array([tile.left, tile.top] * 2, np.float32)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    own = ((centres >= core[:2] - margin_px) & (centres < core[2:] + margin_px)).all(axis=1)
    return Detections(boxes_xyxy_px=boxes, scores=found.scores, class_ids=found.class_ids).select(own)
