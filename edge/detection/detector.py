"""`Detector`: image in, detections out."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from tinydet.edge.detection.decoding import decode
from tinydet.edge.detection.letterbox import Letterboxed, letterbox
from tinydet.edge.detection.nms import nms
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.runtimes.opening import open_runtime
from tinydet.edge.runtimes.runtime import Runtime

P = ParamSpec("P")
T = TypeVar("T")
RawOutputs = Sequence[npt.NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """Times of the stages of one image, milliseconds."""

    pre_ms: float
    """Letterbox."""
    infer_ms: float
    """Inference in the runtime."""
    post_ms: float
    """Decoding, NMS, mapping to source pixels."""

    @property
    def total_ms(self) -> float:
        """Sum of the three."""
        return self.pre_ms + self.infer_ms + self.post_ms


class Pending:
    """A detection under way."""

    def __init__(self, future: Future[Any], finish: Callable[[Any], tuple[Detections, StageTimes]]) -> None:
        """`finish` turns the result of `future` into detections."""
        self._future = future
        self._finish = finish

    def on_inferred(self, call: Callable[[], object]) -> None:
        """Call `call` when the runtime is done, in any thread."""
        self._future.add_done_callback(lambda _: call())

    def wait(self) -> tuple[Detections, StageTimes]:
        """Wait for the runtime, then postprocess in the caller's thread."""
        return self._finish(self._future.result())


class Detector:
    """Detects objects in images of any size. Any number of threads may use it at once.

    Args:
        model: an artifact or checkpoint file, the name of a bundled model (`n`, `s`), or an open runtime.
        score_threshold: minimum score of a detection, 0 to 1; None takes the model's.
        nms_iou_threshold: IoU above which the worse of two boxes is dropped, 0 to 1; None takes the model's.
        max_detections: maximum detections per image, the best by score; None takes the model's.
        threads, device: CPU threads of the runtime and device to run on (see `Runtime.open`); None lets it choose.

    Raises:
        InputError: the model does not exist, is damaged, or cannot run on the device.
        MissingExtraError: the package of its runtime is not installed.
        ValueError: a threshold is out of range, or `threads` or `device` is given with an open runtime.
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

    def close(self) -> None:
        """Wait for what is under way, then close the runtime. The detector cannot be used afterwards."""
        self.runtime.close()

    def __enter__(self) -> Detector:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def detect(self, image_rgb: npt.NDArray[np.uint8], *, score_threshold: float | None = None) -> Detections:
        """Detect in (H, W, 3) uint8 RGB; boxes are in pixels of that image, best score first.

        Args:
            image_rgb: the array, or an object that `numpy.asarray` turns into it, such as a PIL image of mode RGB.
            score_threshold: minimum score in this image, 0 to 1; None takes the detector's.

        Raises:
            InputError: the image has another shape or dtype.
        """
        return self.detect_timed(image_rgb, score_threshold=score_threshold)[0]

    def detect_timed(
        self, image_rgb: npt.NDArray[np.uint8], *, score_threshold: float | None = None
    ) -> tuple[Detections, StageTimes]:
        """Detect as `detect` does, and time the stages."""
        letterboxed, pre_ms = _timed(self.preprocess, image_rgb)
        inferred = _timed(self.runtime.infer, letterboxed.image[np.newaxis])
        return self._finish(inferred, letterboxed=letterboxed, pre_ms=pre_ms, score_threshold=score_threshold)

    def submit(self, image_rgb: npt.NDArray[np.uint8], *, score_threshold: float | None = None) -> Pending:
        """Start detecting: letterbox here, infer in the runtime's thread, postprocess in `Pending.wait`.

        More images may be submitted before the first one is done.
        """
        letterboxed, pre_ms = _timed(self.preprocess, image_rgb)
        finish = partial(self._finish, letterboxed=letterboxed, pre_ms=pre_ms, score_threshold=score_threshold)
        return Pending(self.runtime.submit(_timed, self.runtime.infer, letterboxed.image[np.newaxis]), finish)

    def preprocess(self, image_rgb: npt.NDArray[np.uint8]) -> Letterboxed:
        """Fit the image into the model's input."""
        metadata = self.runtime.metadata
        return letterbox(as_image(image_rgb), metadata.input_hw, metadata.pad_value)

    def postprocess(
        self,
        raw_outputs: RawOutputs,
        letterboxed: Letterboxed,
        *,
        score_threshold: float | None = None,
        batch_index: int = 0,
    ) -> Detections:
        """Decode the raw outputs of one image of the batch, suppress duplicates, map boxes to source pixels."""
        candidates = decode(
            raw_outputs,
            strides=self.runtime.metadata.strides,
            score_threshold=self.score_threshold if score_threshold is None else score_threshold,
            batch_index=batch_index,
        )
        iou_threshold, most = self.nms_iou_threshold, self.max_detections
        kept = nms(candidates, iou_threshold=iou_threshold, max_detections=most, box_voting=True)
        return replace(kept, boxes_xyxy_px=letterboxed.to_source(kept.boxes_xyxy_px))

    def _finish(
        self,
        inferred: tuple[RawOutputs, float],
        *,
        letterboxed: Letterboxed,
        pre_ms: float,
        score_threshold: float | None,
    ) -> tuple[Detections, StageTimes]:
        raw_outputs, infer_ms = inferred
        detections, post_ms = _timed(self.postprocess, raw_outputs, letterboxed, score_threshold=score_threshold)
        return detections, StageTimes(pre_ms=pre_ms, infer_ms=infer_ms, post_ms=post_ms)


def as_image(image_rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Check for (H, W, 3) uint8 RGB. Raises `InputError`."""
    try:
        array = np.asarray(image_rgb)
    except ValueError as error:  # rows of different lengths
        raise InputError(f"image: expected uint8 (H, W, 3) RGB, got a {type(image_rgb).__name__}: {error}") from error
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise InputError(
            f"image: expected uint8 (H, W, 3) RGB, got {array.dtype} {array.shape} from a {type(image_rgb).__name__}; "
            "read_image reads files"
        )
    return array


def _timed(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> tuple[T, float]:
    """Call `function`; returns its result and milliseconds."""
    start_s = time.perf_counter()
    result = function(*args, **kwargs)
    return result, (time.perf_counter() - start_s) * 1e3
