"""The overlapped pipeline with a real model; the slow ones are that model and a pause, whose length is known."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.models import write_spot_detector
from tests.unit.edge.sources.test_sources import write_clip
from tinydet.edge.detection.detector import Detector
from tinydet.edge.detection.slicing import SlicedDetector
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.files.images import write_image
from tinydet.edge.runtimes.onnx_runtime import OnnxRuntime
from tinydet.edge.sources.frames import Frame, Source
from tinydet.edge.sources.live import Connection, LiveSource
from tinydet.edge.sources.opening import open_source
from tinydet.edge.stream.pipeline import Pipeline

FRAMES_PER_S, INFERENCE_S = 30, 0.1


class Paced(Connection):
    """Numbered 8x8 frames at a fixed rate, each a spot; frame n has the grey level n."""

    frames_per_s = float(FRAMES_PER_S)

    def __init__(self, count: int) -> None:
        self.given = 0
        self._count = count
        self._start_s = time.monotonic()

    def read(self) -> tuple[npt.NDArray[np.uint8], float]:
        if self.given == self._count:
            raise InputError("the last frame was given")
        due_s = self._start_s + self.given / FRAMES_PER_S
        time.sleep(max(0.0, due_s - time.monotonic()))
        self.given += 1
        return np.full((64, 64, 3), self.given % 256, np.uint8), due_s

    def close(self) -> None:
        pass


@pytest.fixture
def runtime(tmp_path: Path) -> OnnxRuntime:
    return OnnxRuntime.open(write_spot_detector(tmp_path / "spots.onnx"), threads=1)


def slowed(runtime: OnnxRuntime, pause_s: float = INFERENCE_S) -> OnnxRuntime:
    infer = runtime.infer

    def slow_infer(images_nhwc_u8: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.float32]]:
        time.sleep(pause_s)
        return infer(images_nhwc_u8)

    runtime.infer = slow_infer  # type: ignore[method-assign]
    return runtime


@pytest.mark.slow
def test_of_a_live_source_the_latest_is_taken_and_drops_are_counted(runtime: OnnxRuntime) -> None:
    connection = Paced(count=60)
    source = LiveSource("paced", lambda: connection, can_reopen=False)
    pipeline = Pipeline(source, Detector(slowed(runtime)))
    results = list(pipeline)
    assert 5 <= len(results) <= 22, "two seconds at ten a second at most"
    assert all(result.age_ms is not None and result.age_ms >= INFERENCE_S * 1e3 for result in results)
    assert len(results) + pipeline.dropped == connection.given == 60
    indices = [result.frame.index for result in results]
    assert indices == sorted(indices)
    assert indices[-1] == 59, "what is latest is never left out"
    assert [result.dropped for result in results] == sorted(result.dropped for result in results)


def test_a_file_loses_nothing_and_keeps_its_order(tmp_path: Path, runtime: OnnxRuntime) -> None:
    source = open_source(write_clip(tmp_path / "clip.mp4", frames=12))
    pipeline = Pipeline(source, Detector(slowed(runtime, 0.01)))
    results = list(pipeline)
    assert [result.frame.index for result in results] == list(range(12))
    assert (pipeline.dropped, {result.age_ms for result in results}) == (0, {None})


def test_nothing_waits_for_the_garbage_collector(tmp_path: Path, runtime: OnnxRuntime) -> None:
    """Frames and raw outputs are megabytes: they go with the last who holds them, not when cycles are looked for."""
    pipeline = Pipeline(open_source(write_clip(tmp_path / "clip.mp4", frames=30)), Detector(runtime))
    gc.collect()
    gc.disable()
    try:
        assert sum(1 for _ in pipeline) == 30
        assert gc.collect() < 30
    finally:
        gc.enable()


def test_results_are_those_of_the_detector_alone(tmp_path: Path, runtime: OnnxRuntime) -> None:
    """Also for frames of very different sizes."""
    random = np.random.default_rng(0)
    sizes = [(64, 64), (1, 1), (720, 1280), (30, 500), (64, 64), (48, 64), (64, 64)]
    for index, (height, width) in enumerate(sizes):
        image = np.full((height, width, 3), random.integers(0, 60), np.uint8)
        image[: max(1, height // 4), : max(1, width // 4)] = 255
        write_image(tmp_path / "images" / f"{index}.png", image)
    source, detector = open_source(tmp_path / "images"), Detector(runtime)
    alone = [detector.detect(frame.image_rgb) for frame in source]
    together = list(Pipeline(source, detector))
    assert len(alone) == len(together) == len(sizes)
    assert sum(len(found) for found in alone) > 100
    for expected, result in zip(alone, together, strict=True):
        assert np.array_equal(expected.boxes_xyxy_px, result.detections.boxes_xyxy_px)
        assert np.array_equal(expected.scores, result.detections.scores)


def test_a_frame_of_8k(runtime: OnnxRuntime) -> None:
    image = np.zeros((4320, 7680, 3), np.uint8)
    image[:1000, :1000] = 255
    detector = Detector(runtime)
    detections, _ = detector.submit(image).wait()
    assert len(detections) > 1
    assert np.array_equal(detections.boxes_xyxy_px, detector.detect(image).boxes_xyxy_px)


def test_sliced_frames(tmp_path: Path, runtime: OnnxRuntime) -> None:
    image = np.zeros((150, 200, 3), np.uint8)
    image[64:80, 96:112] = 255
    write_image(tmp_path / "a.png", image)
    sliced = SlicedDetector(Detector(runtime))
    (result,) = Pipeline(open_source(tmp_path / "a.png"), sliced)
    assert np.array_equal(result.detections.boxes_xyxy_px, sliced.detect(image).boxes_xyxy_px)
    assert len(result.detections) >= 1


def test_a_tracker_sees_every_result_in_order(tmp_path: Path, runtime: OnnxRuntime) -> None:
    class Counting:
        min_score = 0.1

        def update(self, detections: Detections, frame: Frame) -> npt.NDArray[np.int64]:
            return np.full(len(detections), frame.index, np.int64)

    for index in range(4):
        write_image(tmp_path / f"{index}.png", np.full((64, 64, 3), 255, np.uint8))
    results = list(Pipeline(open_source(tmp_path), Detector(runtime), Counting()))
    assert [set(result.track_ids.tolist()) for result in results if result.track_ids is not None] == [
        {0},
        {1},
        {2},
        {3},
    ]


@pytest.mark.parametrize(("side", "threshold"), [(64, 0.7), (100, 0.7), (64, 0.2)], ids=["whole", "tiles", "low"])
def test_unsure_detections_stay_only_with_a_track(
    tmp_path: Path, runtime: OnnxRuntime, side: int, threshold: float
) -> None:
    """Three spots of scores 0.99, 0.5 and 0.27, of which the second has a track."""

    class Second:
        min_score = 0.25

        def update(self, detections: Detections, frame: Frame) -> npt.NDArray[np.int64]:
            assert detections.scores.tolist() == pytest.approx([0.99, 0.5, 0.27], abs=0.01)
            return np.array([-1, 7, -1])

    image = np.zeros((side, side, 3), np.uint8)
    for index, level in enumerate((246, 200, 190)):
        image[8 : 8 + 4, 8 + 16 * index : 12 + 16 * index] = level
    write_image(tmp_path / "a.png", image)
    detector = Detector(runtime, score_threshold=threshold)
    (result,) = Pipeline(open_source(tmp_path), SlicedDetector(detector), Second())
    assert result.track_ids is not None
    assert result.track_ids.tolist() == ([-1, 7] if threshold > 0.5 else [-1, 7, -1])
    assert detector.score_threshold == threshold


def test_nothing_and_thousands_of_detections(tmp_path: Path, runtime: OnnxRuntime) -> None:
    write_image(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8))
    write_image(tmp_path / "b.png", np.full((64, 64, 3), 255, np.uint8))
    nothing, everything = Pipeline(
        open_source(tmp_path), Detector(runtime, nms_iou_threshold=1.0, max_detections=10_000)
    )
    assert (len(nothing.detections), len(everything.detections)) == (0, 256)


def test_stop_ends_after_what_is_under_way(runtime: OnnxRuntime) -> None:
    connection = Paced(count=10_000)
    pipeline = Pipeline(LiveSource("paced", lambda: connection), Detector(runtime))
    seen = 0
    for _ in pipeline:
        seen += 1
        if seen == 5:
            pipeline.stop()
    assert 5 <= seen <= 7
    assert connection.given - 2 <= seen + pipeline.dropped <= connection.given


def test_leaving_the_loop_ends_the_threads(tmp_path: Path, runtime: OnnxRuntime) -> None:
    source = open_source(write_clip(tmp_path / "clip.mp4", frames=50))
    before = threading.active_count()
    results = iter(Pipeline(source, Detector(runtime)))
    next(results)
    results.close()  # type: ignore[attr-defined]
    runtime.close()
    assert threading.active_count() <= before + 1


def pipeline_threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()} & {"capture", "prepare"}


def test_an_error_in_the_loop_ends_the_threads(runtime: OnnxRuntime) -> None:
    """The error's traceback keeps the iteration alive for as long as somebody looks at it."""
    source = LiveSource("paced", lambda: Paced(count=10_000))

    def fail() -> None:
        with Pipeline(source, Detector(runtime)) as pipeline:
            for _ in pipeline:
                assert pipeline_threads() == {"capture", "prepare"}
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert pipeline_threads() == set()


FAILS_IN_THE_LOOP = """
import sys
from tinydet import Detector, Pipeline, open_source
def main():
    results = iter(Pipeline(open_source(sys.argv[2]), Detector(sys.argv[1])))
    for result in results:
        raise RuntimeError("the loop failed")
sys.exit(main())
"""


@pytest.mark.parametrize("source", ["clip.mp4", "stdin://64x64@30"])
def test_a_process_ends_when_its_loop_fails(tmp_path: Path, source: str) -> None:
    """Without a `with` block: the traceback keeps `results`, so only the end of the process can end the threads."""
    model = write_spot_detector(tmp_path / "spots.onnx")
    write_clip(tmp_path / "clip.mp4", frames=50)
    child = subprocess.Popen(
        [sys.executable, "-c", FAILS_IN_THE_LOOP, str(model), source],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert child.stdin is not None and child.stderr is not None
    with child:
        child.stdin.write(bytes(3 * 64 * 64 * 3))  # three frames, and the pipe stays open
        child.stdin.flush()
        try:
            assert child.wait(30) == 1
        finally:
            child.kill()
        assert b"RuntimeError: the loop failed" in child.stderr.read()


def test_a_source_that_never_returns_is_left_behind(
    runtime: OnnxRuntime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As a camera's driver that hangs: closing warns and goes on."""
    driver = threading.Event()

    class Stuck(Source):
        name, is_live, frame_count, frames_per_s = "stuck", True, None, None

        def __iter__(self) -> Iterator[Frame]:
            yield Frame(index=0, name="a", image_rgb=np.zeros((8, 8, 3), np.uint8), time_s=None, captured_s=0.0)
            driver.wait()

    monkeypatch.setattr("tinydet.edge.stream.pipeline.JOIN_S", 0.2)
    with Pipeline(Stuck(), Detector(runtime)) as pipeline:
        assert next(iter(pipeline)).frame.name == "a"
    assert "source stuck: thread capture did not end" in caplog.text
    driver.set()


def test_a_pipeline_is_iterated_once(tmp_path: Path, runtime: OnnxRuntime) -> None:
    pipeline = Pipeline(open_source(write_clip(tmp_path / "clip.mp4")), Detector(runtime))
    assert list(pipeline)
    with pytest.raises(ValueError, match="iterated before"):
        list(pipeline)


def test_a_closed_pipeline_gives_nothing(tmp_path: Path, runtime: OnnxRuntime) -> None:
    pipeline = Pipeline(open_source(write_clip(tmp_path / "clip.mp4")), Detector(runtime))
    pipeline.close()
    assert list(pipeline) == []


def test_errors_of_source_and_detector_arrive(tmp_path: Path, runtime: OnnxRuntime) -> None:
    class Broken(Source):
        name, is_live, frame_count, frames_per_s = "broken", False, None, None

        def __iter__(self) -> Iterator[Frame]:
            yield Frame(index=0, name="a", image_rgb=np.zeros((8, 8, 3), np.uint8), time_s=None)
            raise InputError("no more")

    seen: list[object] = []
    with pytest.raises(InputError, match="no more"):
        seen.extend(Pipeline(Broken(), Detector(runtime)))
    write_clip(tmp_path / "clip.mp4")
    detector = Detector(runtime)
    runtime.close()
    with pytest.raises(ValueError, match="closed"):
        list(Pipeline(open_source(tmp_path / "clip.mp4"), detector))


def test_submissions_end_in_their_order(runtime: OnnxRuntime) -> None:
    slow = slowed(runtime, 0.02)
    done: list[int] = []
    futures: list[Future[list[npt.NDArray[np.float32]]]] = []
    for index in range(4):
        futures.append(slow.submit(slow.infer, np.full((1, 64, 64, 3), index * 60, np.uint8)))
        futures[-1].add_done_callback(lambda _, index=index: done.append(index))  # type: ignore[misc]
    assert [future.result()[0].max() for future in futures] == pytest.approx([-20, -14, -8, -2])
    assert done == [0, 1, 2, 3]
