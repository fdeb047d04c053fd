"""Evaluation of tracking on a data set of clips: detections are tracked, then scored against the true tracks."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from tinydet.edge.datasets.dataset import Dataset, ImageRecord, read_record
from tinydet.edge.detections import Detections
from tinydet.edge.errors import InputError
from tinydet.edge.evaluation.idf1 import IdentityScore, Tracked, measure_identity
from tinydet.edge.sources.frames import Frame
from tinydet.edge.tracking.tracker import Tracker

ClipFrames = list[tuple[Tracked, Tracked]]


def check_tracks(dataset: Dataset, frames_per_s: float | None) -> None:
    """Check that the data set has identities, and times unless `frames_per_s` is given. Raises `InputError`."""
    if frames_per_s is not None and not frames_per_s > 0:
        raise InputError(f"--track: expected frames per second above 0, got {frames_per_s}")
    if all(image.track_ids is None for image in dataset.images):
        raise InputError(f"{dataset.path} has no identities: --track needs a track_id on its annotations")
    if frames_per_s is None and any(image.time_s is None for image in dataset.images):
        raise InputError(f"the frames of {dataset.path} have no times (time_s): give --track FPS with their rate")


def evaluate_tracking(
    dataset: Dataset, detections_per_image: Sequence[Detections], *, frames_per_s: float | None = None
) -> tuple[IdentityScore, dict[str, IdentityScore]]:
    """Track detections (source pixels), in the order of `dataset.images`, through each sequence, and score the tracks.

    Returns the score of all objects regardless of class, and the score of each class.

    Crowds, objects without an identity, and detections of classes that the data set does not have are not counted.
    `frames_per_s` replaces the times of the frames.

    Raises:
        InputError: see `check_tracks`, or an image cannot be read.
    """
    check_tracks(dataset, frames_per_s)
    pairs = zip(dataset.images, detections_per_image, strict=True)
    clips = [_track(list(clip), frames_per_s) for _, clip in groupby(pairs, key=lambda pair: pair[0].sequence)]
    per_class = {}
    for class_id, name in enumerate(dataset.class_names):
        of_class = [[(truth.of_class(class_id), found.of_class(class_id)) for truth, found in clip] for clip in clips]
        per_class[name] = measure_identity(of_class)
    return measure_identity(clips), per_class


def _track(clip: list[tuple[ImageRecord, Detections]], frames_per_s: float | None) -> ClipFrames:
    tracker = Tracker(frames_per_s=frames_per_s)
    frames: ClipFrames = []
    for index, (record, detections) in enumerate(clip):
        time_s = record.time_s if frames_per_s is None else None
        frame = Frame(index=index, name=record.path.name, image_rgb=read_record(record), time_s=time_s)
        identities = tracker.update(detections, frame)
        found = Tracked(boxes_xyxy_px=detections.boxes_xyxy_px, class_ids=detections.class_ids, identities=identities)
        frames.append((_marked(record), found.select(identities >= 0)))
    return frames


def _marked(record: ImageRecord) -> Tracked:
    track_ids = np.full(len(record.class_ids), -1, np.int64) if record.track_ids is None else record.track_ids
    marked = Tracked(boxes_xyxy_px=record.boxes_xyxy_px, class_ids=record.class_ids, identities=track_ids)
    return marked.select((track_ids >= 0) & ~record.is_crowd)
