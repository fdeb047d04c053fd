"""`Detector`: image in, detections out."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt

from tinydet.edge.detection.decoding import decode
from tinydet.edge.detection.letterbox import Letterboxed, Letterboxer
from tinydet.edge.detection.nms import nms
from tinydet.edge.detections import Detections
from tinydet.edge.runtimes.opening import open_runtime
from tinydet.edge.runtimes.runtime import Runtime


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """How long the stages of one image took."""

    pre_ms: float
    """Letterbox."""
    infer_ms: float
    """The runtime."""
    post_ms: float
    """Decoding, NMS, back to source pixels."""

    @property
    def total_ms(self) -> float:
        """All three."""
        return self.pre_ms + self.infer_ms + self.post_ms


class _Moment:
    """When a future was done. Knows nothing of the future: a cycle of the two would keep raw outputs until Python
    looks for cycles, which in a long flight it does rarely.
    """

    def __init__(self, future: Future[Any]) -> None:
        self._at_s = 0.0
        self._has_come = Event()
        future.add_done_callback(self._note)

    def wait(self) -> float:
        """`time.perf_counter()` then."""
        self._has_come.wait()
        return self._at_s

    def _note(self, _: Future[Any]) -> None:
        self._at_s = time.perf_counter()
        self._has_come.set()


class Pending:
    """A detection under way; `wait` for it once."""

    def __init__(self, future: Future[Any], finish: Callable[[Any], Detections], pre_ms: float) -> None:
        """`future` gives what `finish` turns into detections."""
        self._future = future
        self._finish = finish
        self._pre_ms = pre_ms
        self._submitted_s = time.perf_counter()
        self._inferred = _Moment(future)

    def on_inferred(self, call: Callable[[], object]) -> None:
        """`call` when the runtime is done with this one, in a thread of its own choice."""
        self._future.add_done_callback(lambda _: call())

    def wait(self, runtime_free_s: float = 0.0) -> tuple[Detections, StageTimes, float]:
        """Detections, times, and the `time.perf_counter()` at which the runtime was done.

        `runtime_free_s`: until when (`time.perf_counter()`) the runtime was busy with an earlier one; that wait does
        not count as inference.
        """
        inferred_s = self._inferred.wait()
        raw_outputs = self._future.result()
        start_s = time.perf_counter()
        detections = self._finish(raw_outputs)
        times = StageTimes(
            pre_ms=self._pre_ms,
            infer_ms=(inferred_s - max(self._submitted_s, runtime_free_s)) * 1e3,
            post_ms=(time.perf_counter() - start_s) * 1e3,
        )
        return detections, times, inferred_s


class Detector:
    """Finds objects in images of any size.

    Args:
        model: an open runtime, an artifact or checkpoint file, or the name of a bundled size.
        score_threshold, nms_iou_threshold, max_detections: None takes the model's own.
        threads, device: of the runtime, for a model that is opened here (see `Runtime.open`); None lets it choose.
    """

    def __init__(
        self,
        model: Runtime | str | Path,
        *,
        score_threshold: float | None = None,
        nms_iou_threshold: float | None = None,
        max_detections: int | None = None,
        threads: int | None = None,
        device: str | None = None,
    ) -> None:
        if isinstance(model, Runtime):
            if threads is not None or device is not None:
                raise ValueError("threads and device have no effect on a runtime that is already open")
            self.runtime = model
        else:
            self.runtime = open_runtime(model, threads=threads, device=device)
        metadata = self.runtime.metadata
        self.class_names = metadata.class_names
        self.score_threshold = metadata.score_threshold if score_threshold is None else score_threshold
        self.nms_iou_threshold = metadata.nms_iou_threshold if nms_iou_threshold is None else nms_iou_threshold
        self.max_detections = metadata.max_detections if max_detections is None else max_detections
        for name in ("score_threshold", "nms_iou_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {getattr(self, name)}")
        if self.max_detections < 1:
            raise ValueError(f"max_detections: expected 1 or more, got {self.max_detections}")
        self._strides = metadata.strides
        self._letterbox = Letterboxer(metadata.input_hw, metadata.pad_value)
        self._free: deque[Letterboxer] = deque()

    def detect(self, image_rgb: npt.NDArray[np.uint8]) -> Detections:
        """Detect in (H, W, 3) uint8 RGB; boxes are in pixels of that image, best score first."""
        return self.detect_timed(image_rgb)[0]

    def detect_timed(self, image_rgb: npt.NDArray[np.uint8]) -> tuple[Detections, StageTimes]:
        """`detect`, and how long its stages took."""
        start = time.perf_counter()
        letterboxed = self.preprocess(image_rgb)
        prepared = time.perf_counter()
        raw_outputs = self.runtime.infer(letterboxed.image[np.newaxis])
        inferred = time.perf_counter()
        detections = self.postprocess(raw_outputs, letterboxed, (image_rgb.shape[0], image_rgb.shape[1]))
        end = time.perf_counter()
        times = StageTimes(
            pre_ms=(prepared - start) * 1e3, infer_ms=(inferred - prepared) * 1e3, post_ms=(end - inferred) * 1e3
        )
        return detections, times

    def submit(self, image_rgb: npt.NDArray[np.uint8]) -> Pending:
        """`detect_timed` without waiting: further images may be submitted, also from another thread than waits."""
        start_s = time.perf_counter()
        metadata = self.runtime.metadata
        letterboxer = self._free.pop() if self._free else Letterboxer(metadata.input_hw, metadata.pad_value)
        letterboxed = letterboxer(_checked(image_rgb))
        pre_ms = (time.perf_counter() - start_s) * 1e3
        source_hw = (image_rgb.shape[0], image_rgb.shape[1])

        def finish(raw_outputs: Sequence[npt.NDArray[np.float32]]) -> Detections:
            self._free.append(letterboxer)  # nobody reads its canvas any more
            return self.postprocess(raw_outputs, letterboxed, source_hw)

        return Pending(self.runtime.submit(letterboxed.image[np.newaxis]), finish, pre_ms)

    def preprocess(self, image_rgb: npt.NDArray[np.uint8]) -> Letterboxed:
        """Fit the image into the model's input. The result's image is overwritten by the next call."""
        return self._letterbox(_checked(image_rgb))

    def postprocess(
        self,
        raw_outputs: Sequence[npt.NDArray[np.float32]],
        letterboxed: Letterboxed,
        source_hw: tuple[int, int],
        *,
        batch_index: int = 0,
    ) -> Detections:
        """Raw outputs of one image of the batch -> detections in source pixels."""
        candidates = decode(
            raw_outputs, strides=self._strides, score_threshold=self.score_threshold, batch_index=batch_index
        )
        kept = nms(
            candidates,
            iou_threshold=self.nms_iou_threshold,
            max_detections=self.max_detections,
            box_voting=True,
        )
        return Detections(
            boxes_xyxy_px=letterboxed.to_source(kept.boxes_xyxy_px, source_hw),
            scores=kept.scores,
            class_ids=kept.class_ids,
        )


def _checked(image_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if image_rgb.dtype != np.uint8 or image_rgb.ndim != 3 or image_rgb.shape[2] != 3 or 0 in image_rgb.shape:
        raise ValueError(f"image: expected uint8 (H, W, 3) RGB, got {image_rgb.dtype} {image_rgb.shape}")
    return image_rgb
