"""One turn of a measurement: loads an artifact, warms it up until it is steady, times whole detections."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.boards.system_files import read_text
from tinydet.edge.datasets.dataset import Dataset
from tinydet.edge.detection.detector import Detector
from tinydet.edge.detections import Detections
from tinydet.edge.evaluation.average_precision import AI_TOD
from tinydet.edge.evaluation.evaluate import detect_for_scoring

WINDOW_FRAMES = 5
WINDOW_S = 0.1
STEADY_WITHIN = 0.03
WARM_UP_LIMIT_S = 10.0

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Resident memory of the turn's process in MiB, without a GPU's own memory; None: not available."""

    before_load: float | None
    """Python, OpenCV and the frames."""
    steady: float | None
    """At the end of the turn."""
    peak: float | None
    """Maximum, loading included."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """Measurements of one turn with N timed frames."""

    load_ms: float
    """Time to import the runtime and open the artifact, in a fresh process."""
    first_result_ms: float
    """From the start of loading to the first detections."""
    warm_up_frames: int
    warm_up_s: float
    steady: bool
    """False: still drifting at the warm-up's time limit."""
    start_s: float
    """Start of the first timed frame, on the system's monotonic clock."""
    end_s: float
    """End of the last one."""
    pre_ms: npt.NDArray[np.float64]
    """(N,), as are the other stages."""
    infer_ms: npt.NDArray[np.float64]
    post_ms: npt.NDArray[np.float64]
    objects: int
    """Number of detections in all N frames."""
    memory_mib: Memory

    @property
    def total_ms(self) -> npt.NDArray[np.float64]:
        """(N,) end to end, of each timed frame."""
        total_ms: npt.NDArray[np.float64] = self.pre_ms + self.infer_ms + self.post_ms
        return total_ms

    def since(self, origin_s: float) -> Turn:
        """The same turn on a clock that is 0 at `origin_s`."""
        return replace(self, start_s=self.start_s - origin_s, end_s=self.end_s - origin_s)


def time_artifact(
    artifact: str, images_rgb: Sequence[Image], seconds: float, threads: int | None, device: str | None
) -> Turn:
    """Run one turn, timed for `seconds` and at least one detection in every image, (H, W, 3) each.

    `artifact`, `threads` and `device`: see `Profiler`.

    Raises:
        InputError: the artifact cannot be opened.
    """
    if threads is not None:
        cv2.setNumThreads(threads)
    before_load = _memory_mib("VmRSS")
    loading_s = time.monotonic()
    detector = Detector(artifact, threads=threads, device=device)
    loaded_s = time.monotonic()
    detector.detect(images_rgb[0])
    first_s = time.monotonic()
    cycle = itertools.cycle(images_rgb)
    warm_up_frames, steady = _warm_up(detector, cycle)
    times_ms: list[tuple[float, float, float]] = []
    objects = 0
    start_s = time.monotonic()
    while len(times_ms) < len(images_rgb) or time.monotonic() < start_s + seconds:
        detections, times = detector.detect_timed(next(cycle))
        times_ms.append((times.pre_ms, times.infer_ms, times.post_ms))
        objects += len(detections)
    end_s = time.monotonic()
    pre_ms, infer_ms, post_ms = np.array(times_ms).T
    memory_mib = Memory(before_load=before_load, steady=_memory_mib("VmRSS"), peak=_memory_mib("VmHWM"))
    detector.runtime.close()
    return Turn(
        load_ms=(loaded_s - loading_s) * 1e3,
        first_result_ms=(first_s - loading_s) * 1e3,
        warm_up_frames=warm_up_frames,
        warm_up_s=start_s - first_s,
        steady=steady,
        start_s=start_s,
        end_s=end_s,
        pre_ms=pre_ms,
        infer_ms=infer_ms,
        post_ms=post_ms,
        objects=objects,
        memory_mib=memory_mib,
    )


def detect_dataset(artifact: str, dataset: Dataset, threads: int | None, device: str | None) -> list[Detections]:
    """Detections in every image of the data set, as `tinydet evaluate` scores them."""
    if threads is not None:
        cv2.setNumThreads(threads)
    with Detector(artifact, threads=threads, device=device) as detector:
        return detect_for_scoring(detector, dataset, dataset.images, protocol=AI_TOD)


def _warm_up(detector: Detector, cycle: Iterator[Image]) -> tuple[int, bool]:
    """Detect until a window's median inference is within 3 % of the window before.

    Returns the number of frames, and whether it became steady within the time limit.
    """
    start_s = time.monotonic()
    frames, before_ms = 0, None
    while True:
        window_start_s = time.monotonic()
        window_ms: list[float] = []
        while len(window_ms) < WINDOW_FRAMES or time.monotonic() < window_start_s + WINDOW_S:
            window_ms.append(detector.detect_timed(next(cycle))[1].infer_ms)
            if time.monotonic() > start_s + WARM_UP_LIMIT_S:
                return frames + len(window_ms), False
        frames += len(window_ms)
        now_ms = float(np.median(window_ms))
        if before_ms is not None and abs(now_ms - before_ms) <= STEADY_WITHIN * before_ms:
            return frames, True
        before_ms = now_ms


def _memory_mib(key: str) -> float | None:
    """A value of Linux's /proc/self/status."""
    status = read_text(Path("/proc/self/status"))
    match = re.search(rf"^{key}:\s+(\d+) kB$", status, re.MULTILINE)
    return None if match is None else int(match[1]) / 1024
