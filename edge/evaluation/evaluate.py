"""Accuracy of a detector on a data set, through the same `Detector` that flies."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from tinydet.edge.datasets.dataset import Dataset, ImageRecord, read_record
from tinydet.edge.detection.detector import Detector
from tinydet.edge.detection.slicing import SlicedDetector
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.average_precision import AI_TOD, Accuracy, Protocol, measure_accuracy
from tinydet.edge.files.printable import printable, shown

SCORE_THRESHOLD = 0.001
"""Score threshold in evaluation: AP ranks all detections, so nearly all are kept, whatever the detector's threshold."""

Slicing = Literal["tiles", "full"] | None
"""None: scale frames to the input; tiles: cut frames into tiles; full: tiles and the whole frame."""

Progress = Callable[[Sequence[ImageRecord]], Iterable[ImageRecord]]
"""Wraps the images to show progress."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, eq=False)
class ClassMatch:
    """Classes of a model, matched to those of a data set by name."""

    data_class_ids: npt.NDArray[np.int64]
    """(classes of the model,) class id in the data set, -1 for a class that the data set does not have."""
    notes: tuple[str, ...]
    """Notes for the user on classes that only one side has."""


def match_classes(model_class_names: Sequence[str], data_class_names: Sequence[str]) -> ClassMatch:
    """Match the classes of a model to those of a data set by name.

    AP is the data set's: a class that the model does not know counts as missed (AP 0), and detections of a class that
    the data set does not annotate are not counted.

    Raises:
        InputError: no class is shared.
    """
    if not set(model_class_names) & set(data_class_names):
        raise InputError(
            f"no class in common: the model knows {', '.join(map(shown, model_class_names))}, "
            f"the data set has {', '.join(map(shown, data_class_names)) or 'none'}"
        )
    unmarked = [name for name in model_class_names if name not in data_class_names]
    unknown = [name for name in data_class_names if name not in model_class_names]
    notes = []
    if unmarked:
        notes.append(f"not counted, the data set does not annotate them: {', '.join(unmarked)}")
    if unknown:
        notes.append(f"counted as missed, the model does not know them: {', '.join(unknown)}")
    positions = {name: index for index, name in enumerate(data_class_names)}
    return ClassMatch(
        data_class_ids=np.array([positions.get(name, -1) for name in model_class_names], np.int64), notes=tuple(notes)
    )


def check_objects(dataset: Dataset) -> None:
    """Raises `InputError` if no object counts, so that there is no AP: none at all, or crowds only."""
    if all(record.is_crowd.all() for record in dataset.images):
        crowds = dataset.object_count
        found = f"all of its {crowds} boxes are crowds or difficult" if crowds else "it has no object"
        raise InputError(f"nothing to score in {printable(dataset.path)}: {found}")


def evaluate(
    detector: Detector,
    dataset: Dataset,
    progress: Progress | None = None,
    *,
    protocol: Protocol = AI_TOD,
    slicing: Slicing = None,
) -> Accuracy:
    """Measure the accuracy of a detector on a data set.

    The detector's NMS threshold applies; its score threshold and number of detections do not: the protocol asks for the
    best of all detections.

    Args:
        detector: the detector; its classes are matched to those of the data set by name.
        dataset: images and their objects, from `read_dataset`.
        progress: wraps the images to show progress.
        protocol: number of detections and size bands of a benchmark.
        slicing: detect in tiles, or in tiles and the whole frame; None scales frames to the input.

    Raises:
        InputError: no class in common, or an image file that cannot be read or has another size than the data set says.
    """
    images = dataset.images if progress is None else progress(dataset.images)
    found = detect_for_scoring(detector, dataset, images, protocol=protocol, slicing=slicing)
    return measure_accuracy(dataset, found, protocol=protocol)


def detect_for_scoring(
    detector: Detector,
    dataset: Dataset,
    images: Iterable[ImageRecord],
    *,
    protocol: Protocol,
    slicing: Slicing = None,
) -> list[Detections]:
    """Detect in `images`, some or all of the data set's, for `measure_accuracy`; class ids are the data set's."""
    check_objects(dataset)
    match = match_classes(detector.class_names, dataset.class_names)
    for note in match.notes:
        _logger.info("%s", note)
    protocol_detector = Detector(
        detector.runtime,
        score_threshold=SCORE_THRESHOLD,
        nms_iou_threshold=detector.nms_iou_threshold,
        max_detections=protocol.max_detections,
    )
    detect = protocol_detector.detect
    if slicing is not None:
        detect = SlicedDetector(protocol_detector, full_frame=slicing == "full").detect
    return [_detect(detect, record, match) for record in images]


def _detect(
    detect: Callable[[npt.NDArray[np.uint8]], Detections], record: ImageRecord, match: ClassMatch
) -> Detections:
    detections = detect(read_record(record))
    class_ids = match.data_class_ids[detections.class_ids]
    return replace(detections, class_ids=class_ids).select(class_ids >= 0)
