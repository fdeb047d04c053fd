"""Detecting in frames larger than the model's input, tile by tile at full resolution."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import numpy.typing as npt

from tinydet.edge.boxes import area, intersection, size
from tinydet.edge.detection.detector import Detector, Pending, StageTimes, as_image
from tinydet.edge.detection.nms import nms
from tinydet.edge.detection.tiles import Tile, tiles_of
from tinydet.edge.detections import Detections

OVERLAP_SHARE = 0.2
"""Overlap of tiles as a share of the input's side: objects up to that size are whole in at least one tile."""
MARGIN_SHARE = 0.02
"""Tolerance for an object's centre that two tiles place differently, as a share of the input's side."""
WHOLE_FROM_SHARE = 0.1
"""Minimum size (square root of the area) of the whole frame's detections to count, as a share of the input's side.

Smaller objects are sharper in the tiles. AP50 of `n` in INT8 at 640 px, from tiles alone, with all objects of the whole
frame, with those from 64 px on: .565, .899, .897 on the 24 native photographs, whose lorries need the whole frame;
.576, .515, .574 on 8 rendered scenes of 1920 px (`tinydet data render --size 1920 --seed 5`).
"""
MAX_BATCH = 4
"""Maximum tiles per inference, which bounds memory for frames of any size."""
SEAM_IOU = 0.5
"""IoU above which two boxes of one class are one object seen by two tiles, even if the model's threshold is higher."""


class SlicedDetector:
    """Detects in large frames tile by tile; frames that fit the input are detected in whole.

    Every point of the frame belongs to the tile whose border is farthest away, and a detection counts if its centre
    belongs to the tile that found it. So an object cut by a tile's border is left to the neighbour that sees it whole;
    NMS merges detections whose centres fall on both sides of the line.

    Args:
        detector: detects in the tiles; its thresholds apply.
        full_frame: also detect in the frame as a whole, scaled down, for objects too large for a tile; parts of such
            objects that tiles found are dropped.
    """

    def __init__(self, detector: Detector, *, full_frame: bool = False) -> None:
        self.detector = detector
        self.runtime = detector.runtime
        self.class_names = detector.class_names
        self.full_frame = full_frame
        self._tile_px = min(detector.runtime.metadata.input_hw)

    @property
    def score_threshold(self) -> float:
        """Score threshold of the detector."""
        return self.detector.score_threshold

    def close(self) -> None:
        """Close the detector."""
        self.detector.close()

    def __enter__(self) -> SlicedDetector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def detect(self, image_rgb: npt.NDArray[np.uint8], *, score_threshold: float | None = None) -> Detections:
        """Detect as `Detector.detect` does."""
        return self.detect_timed(image_rgb, score_threshold=score_threshold)[0]

    def submit(self, image_rgb: npt.NDArray[np.uint8], *, score_threshold: float | None = None) -> Pending:
        """Start detecting: all tiles and stages run in the runtime's thread."""
        detect = partial(self.detect_timed, as_image(image_rgb), score_threshold=score_threshold)
        return Pending(self.runtime.submit(detect), lambda found: found)

    def detect_timed(
        self, image_rgb: npt.NDArray[np.uint8], *, score_threshold: float | None = None
    ) -> tuple[Detections, StageTimes]:
        """Detect as `detect` does, and time the stages, summed over the tiles."""
        image = as_image(image_rgb)
        height, width = image.shape[:2]
        tiles = tiles_of(width, height, tile_px=self._tile_px, overlap_px=round(OVERLAP_SHARE * self._tile_px))
        if len(tiles) == 1:
            return self.detector.detect_timed(image, score_threshold=score_threshold)
        windows = [*tiles, Tile(0, 0, width, height)] if self.full_frame else tiles
        seen, times = self._detect_windows(image, windows, score_threshold)

        start = time.perf_counter()
        margin_px = MARGIN_SHARE * self._tile_px
        parts = [_own(found, _core(tile, tiles), margin_px) for found, tile in zip(seen, tiles, strict=False)]
        if self.full_frame:
            whole = seen[-1].select(size(seen[-1].boxes_xyxy_px) >= WHOLE_FROM_SHARE * self._tile_px)
            parts = [part.select(~_is_cut_off(part, tile, whole, (height, width)))
                     for part, tile in zip(parts, tiles, strict=True)] + [whole]  # fmt: skip
        merged = nms(
            _joined(parts),
            iou_threshold=min(self.detector.nms_iou_threshold, SEAM_IOU),
            max_detections=self.detector.max_detections,
        )
        merge_ms = (time.perf_counter() - start) * 1e3
        return merged, StageTimes(pre_ms=times.pre_ms, infer_ms=times.infer_ms, post_ms=times.post_ms + merge_ms)

    def _detect_windows(
        self, image_rgb: npt.NDArray[np.uint8], windows: Sequence[Tile], score_threshold: float | None
    ) -> tuple[list[Detections], StageTimes]:
        """Detect in each window, `MAX_BATCH` windows per inference; boxes are in pixels of the frame."""
        found: list[Detections] = []
        spent_s = np.zeros(3)
        for first in range(0, len(windows), MAX_BATCH):
            some = windows[first : first + MAX_BATCH]
            start = time.perf_counter()
            letterboxed = [
                self.detector.preprocess(image_rgb[window.top : window.bottom, window.left : window.right])
                for window in some
            ]
            batch = np.stack([fitted.image for fitted in letterboxed])
            prepared = time.perf_counter()
            raw_outputs = self.runtime.infer(batch)
            inferred = time.perf_counter()
            for index, (window, fitted) in enumerate(zip(some, letterboxed, strict=True)):
                local = self.detector.postprocess(
                    raw_outputs, fitted, score_threshold=score_threshold, batch_index=index
                )
                found.append(_moved(local, window))
            spent_s += (prepared - start, inferred - prepared, time.perf_counter() - inferred)
        pre_ms, infer_ms, post_ms = (spent_s * 1e3).tolist()
        return found, StageTimes(pre_ms=pre_ms, infer_ms=infer_ms, post_ms=post_ms)


def _core(tile: Tile, tiles: Sequence[Tile]) -> npt.NDArray[np.float32]:
    """Area that belongs to the tile, (4,): up to the middle of each overlap, unbounded at the frame's border."""
    left = max((other.right for other in tiles if other.left < tile.left and other.top == tile.top), default=-np.inf)
    right = min((other.left for other in tiles if other.left > tile.left and other.top == tile.top), default=np.inf)
    top = max((other.bottom for other in tiles if other.top < tile.top and other.left == tile.left), default=-np.inf)
    bottom = min((other.top for other in tiles if other.top > tile.top and other.left == tile.left), default=np.inf)
    return np.array(
        [(tile.left + left) / 2, (tile.top + top) / 2, (tile.right + right) / 2, (tile.bottom + bottom) / 2], np.float32
    )


def _own(found: Detections, core: npt.NDArray[np.float32], margin_px: float) -> Detections:
    """Keep detections whose centre is in the tile's core."""
    centres = (found.boxes_xyxy_px[:, :2] + found.boxes_xyxy_px[:, 2:]) / 2
    return found.select(((centres >= core[:2] - margin_px) & (centres < core[2:] + margin_px)).all(axis=1))


_CUT_INSIDE_SHARE = 0.5
_BORDER_PX = 2.0


def _is_cut_off(part: Detections, tile: Tile, whole: Detections, frame_hw: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Find parts of objects (N,): they end at a tile's border, mostly inside an object that was seen whole."""
    boxes, of_class = part.boxes_xyxy_px, part.class_ids[:, None] == whole.class_ids[None]
    inner = np.array([tile.left > 0, tile.top > 0, tile.right < frame_hw[1], tile.bottom < frame_hw[0]])
    is_at_border = (inner & (np.abs(boxes - np.array(tile, np.float32)) <= _BORDER_PX)).any(axis=1)
    is_inside = intersection(boxes[:, None], whole.boxes_xyxy_px) > _CUT_INSIDE_SHARE * area(boxes)[:, None]
    return np.asarray(is_at_border & (is_inside & of_class).any(axis=1))


def _moved(found: Detections, tile: Tile) -> Detections:
    """Map detections from pixels of the tile to pixels of the frame."""
    return replace(found, boxes_xyxy_px=found.boxes_xyxy_px + np.array([tile.left, tile.top] * 2, np.float32))


def _joined(parts: Sequence[Detections]) -> Detections:
    return Detections(
        boxes_xyxy_px=np.concatenate([part.boxes_xyxy_px for part in parts]),
        scores=np.concatenate([part.scores for part in parts]),
        class_ids=np.concatenate([part.class_ids for part in parts]),
    )
