"""Tiles cover the frame, and an object is found once however tile borders cut it."""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from tests.models import write_spot_detector
from tinydet.edge.artifact import ArtifactMetadata
from tinydet.edge.datasets.dataset import read_record
from tinydet.edge.datasets.ignored_regions import mostly_inside
from tinydet.edge.datasets.reading import read_dataset
from tinydet.edge.detection.detector import Detector
from tinydet.edge.detection.nms import nms
from tinydet.edge.detection.slicing import MAX_BATCH, SEAM_IOU, SlicedDetector
from tinydet.edge.detection.tiles import tiles_of
from tinydet.edge.runtimes.runtime import Runtime

INPUT_PX, STRIDE = 64, 4


@pytest.mark.parametrize(
    ("width", "height", "tile", "overlap"),
    [(640, 480, 640, 64), (1000, 700, 320, 64), (641, 64, 64, 16), (3, 5, 64, 8)],
)
def test_tiles_cover_every_pixel_and_overlap_enough(width: int, height: int, tile: int, overlap: int) -> None:
    seen = np.zeros((height, width), int)
    tiles = tiles_of(width, height, tile_px=tile, overlap_px=overlap)
    for left, top, right, bottom in tiles:
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        assert (right - left, bottom - top) == (min(tile, width), min(tile, height))
        seen[top:bottom, left:right] += 1
    assert seen.min() == 1
    lefts = sorted({t.left for t in tiles})
    assert all(after - before <= tile - overlap for before, after in itertools.pairwise(lefts))


def test_an_overlap_as_large_as_the_tile_is_refused() -> None:
    with pytest.raises(ValueError, match="overlap_px: expected 0 to 63, got 64"):
        tiles_of(100, 100, tile_px=64, overlap_px=64)


class SeesWhite(Runtime):
    """A real detector of white rectangles on black, in the raw form of a network: it boxes what its tile shows.

    push_px: it sees things farther from the middle of its tile than they are, so that two tiles disagree.
    """

    name, device, provider = "sees white", "CPU", "numpy"

    def __init__(self, *, push_px: float = 0.0) -> None:
        self.batches: list[int] = []
        self.push_px = push_px
        self.metadata = ArtifactMetadata(
            model="n",
            class_names=("car",),
            input_hw=(INPUT_PX, INPUT_PX),
            strides=(STRIDE,),
            score_threshold=0.5,
            nms_iou_threshold=0.5,
            max_detections=100,
            precision="fp32",
            checkpoint_sha256="0" * 64,
            tool_versions={},
            accuracy=None,
        )

    @classmethod
    def open(cls, path: Path, *, threads: int | None = None, device: str | None = None) -> Runtime:
        raise NotImplementedError

    def _run(self, images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        self.batches.append(len(images_nhwc_u8))
        side = INPUT_PX // STRIDE
        logits = np.full((len(images_nhwc_u8), side, side, 1), -9, np.float32)
        distances = np.zeros((len(images_nhwc_u8), side, side, 4), np.float32)
        for index, image in enumerate(images_nhwc_u8):
            count, _, stats, _ = cv2.connectedComponentsWithStats((image[..., 0] > 200).astype(np.uint8))
            for x, y, w, h, _ in stats[1:count].tolist():
                x += self.push_px * np.sign(x + w / 2 - INPUT_PX / 2)
                row, column = min(int(y + h / 2) // STRIDE, side - 1), int(np.clip((x + w / 2) // STRIDE, 0, side - 1))
                cx, cy = (column + 0.5) * STRIDE, (row + 0.5) * STRIDE
                # The more of a car is seen, the surer it is.
                logits[index, row, column, 0] = 1 + w * h / 50
                distances[index, row, column] = np.array([cx - x, cy - y, x + w - cx, y + h - cy]) / STRIDE
        return [logits, distances]

    def close(self) -> None:
        """Nothing is open."""


def frame_with(boxes: list[tuple[int, int, int, int]], width: int = 170, height: int = 120) -> npt.NDArray[np.uint8]:
    image = np.zeros((height, width, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 255
    return image


def test_every_object_is_found_once_wherever_the_borders_fall() -> None:
    detector = SlicedDetector(Detector(SeesWhite()))
    for shift in range(60):
        boxes = [(20 + shift, 15 + shift // 2, 30 + shift, 21 + shift // 2), (95 + shift, 90, 105 + shift, 96)]
        found = detector.detect(frame_with(boxes))
        assert sorted(found.boxes_xyxy_px.round().astype(int).tolist()) == sorted(map(list, boxes)), shift


def test_tiles_that_disagree_where_a_centre_is_lose_nothing() -> None:
    detector = SlicedDetector(Detector(SeesWhite(push_px=1.0)))
    for shift in range(90):
        found = detector.detect(frame_with([(20 + shift, 40, 30 + shift, 46)]))
        assert len(found) == 1, shift


def test_closing_waits_for_tiles_under_way(tmp_path: Path) -> None:
    with SlicedDetector(Detector(write_spot_detector(tmp_path / "spots.onnx"), threads=1)) as detector:
        image = frame_with([(20, 15, 30, 21)], width=1200, height=900)
        expected = detector.detect(image).boxes_xyxy_px.tolist()
        pending = [detector.submit(image) for _ in range(3)]
    assert [one.wait()[0].boxes_xyxy_px.tolist() for one in pending] == [expected] * 3
    with pytest.raises(ValueError, match="closed"):
        detector.submit(image)


def test_a_frame_that_fits_is_detected_in_whole() -> None:
    runtime = SeesWhite()
    detector = Detector(runtime)
    image = frame_with([(5, 5, 15, 11)], width=64, height=40)
    assert (
        SlicedDetector(detector).detect(image).boxes_xyxy_px.tolist() == detector.detect(image).boxes_xyxy_px.tolist()
    )
    assert runtime.batches == [1, 1]


def test_memory_is_bounded_however_large_the_frame() -> None:
    runtime = SeesWhite()
    boxes = [(7 + 90 * index, 11 + 60 * index, 17 + 90 * index, 17 + 60 * index) for index in range(9)]
    found, times = SlicedDetector(Detector(runtime)).detect_timed(frame_with(boxes, width=900, height=600))
    assert sorted(found.boxes_xyxy_px.round().astype(int).tolist()) == sorted(map(list, boxes))
    tiles = len(tiles_of(900, 600, tile_px=INPUT_PX, overlap_px=13))
    assert sum(runtime.batches) == tiles and max(runtime.batches) == MAX_BATCH
    assert len(runtime.batches) == -(-tiles // MAX_BATCH)
    assert min(times.pre_ms, times.infer_ms, times.post_ms) > 0


def test_the_whole_frame_shows_what_no_tile_holds() -> None:
    lorry, car = (30, 50, 140, 62), (10, 100, 20, 106)
    image = frame_with([lorry, car])
    tiles_only = SlicedDetector(Detector(SeesWhite())).detect(image)
    assert not any(np.allclose(box, lorry, atol=3) for box in tiles_only.boxes_xyxy_px)
    runtime = SeesWhite()
    found = SlicedDetector(Detector(runtime), full_frame=True).detect(image)
    tiles = len(tiles_of(170, 120, tile_px=INPUT_PX, overlap_px=13))
    assert sum(runtime.batches) == tiles + 1
    assert sum(np.allclose(box, lorry, atol=3) for box in found.boxes_xyxy_px) == 1
    assert sum(np.allclose(box, car, atol=3) for box in found.boxes_xyxy_px) == 1
    at_ends = found.boxes_xyxy_px[np.abs(found.boxes_xyxy_px[:, [1, 3]] - (50, 62)).max(axis=1) < 3]
    assert len(at_ends) == 1, "what tiles cut off the lorry is gone"


def test_of_the_whole_frame_small_objects_do_not_count() -> None:
    """Scaled down they are seen less sharply than in a tile, however sure the model is."""
    cars = [(x, y, x + 6, y + 4) for x in (21, 59, 98, 141) for y in (19, 62, 97)]
    image = frame_with(cars)
    whole = Detector(SeesWhite()).detect(image)
    assert 0 < len(whole) <= len(cars)
    by_tiles, with_whole = (
        SlicedDetector(Detector(SeesWhite()), full_frame=full).detect(image) for full in (False, True)
    )
    np.testing.assert_array_equal(with_whole.boxes_xyxy_px, by_tiles.boxes_xyxy_px)


def test_no_pair_overlaps_by_half_in_real_frames(aerial_vehicles_native: Path) -> None:
    """With the bundled network; most tile borders of these frames cross traffic."""
    dataset = read_dataset(aerial_vehicles_native)
    wide = [record for record in dataset.images if record.width > 640][-2:]
    detector = SlicedDetector(Detector("n", score_threshold=0.05, nms_iou_threshold=0.7), full_frame=True)
    for record in wide:
        found = detector.detect(read_record(record))
        assert len(found) > 5
        kept = nms(found, iou_threshold=SEAM_IOU, max_detections=len(found))
        assert len(kept) == len(found), record.path.name


def test_mostly_inside_counts_the_union_of_regions() -> None:
    regions = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [90, 90, 200, 200]], np.float32)
    boxes = np.array(
        [[0, 0, 30, 10], [0, 0, 31, 10], [12, 0, 18, 10], [95, 95, 105, 105], [40, 40, 40.2, 40.2]], np.float32
    )
    assert mostly_inside(boxes, regions, width=100, height=100).tolist() == [True, False, True, True, False]
    edge = np.array([[0, 0, 4, 4], [9, 9, 13, 13], [7, 10, 11, 14], [10, 7, 14, 11]], np.float32)
    region = np.array([[10, 10, 20, 20]], np.float32)
    assert mostly_inside(edge, region, width=100, height=100).tolist() == [False, True, False, False]
    assert mostly_inside(boxes, regions[:0], width=100, height=100).tolist() == [False] * 5
