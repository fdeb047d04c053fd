"""`Tracker`: gives the detections of an object the same identity from frame to frame.

Detections are matched to predicted boxes in two rounds, confident ones first, then the others to the tracks still
without one (ByteTrack, Zhang et al., arXiv:2110.06864). All durations are in seconds: frame rates on a board are low
and uneven.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from tinydet.edge.detections import Detections
from tinydet.edge.sources.frames import Frame
from tinydet.edge.tracking.assignment import assign
from tinydet.edge.tracking.association import similarity, to_cxcywh
from tinydet.edge.tracking.camera_motion import CameraMotion
from tinydet.edge.tracking.kalman import KalmanBoxes

LOW_SCORE = 0.1
"""Minimum score of a detection to prolong a track."""
HIGH_SCORE = 0.45
"""Minimum score of a confident detection, which is matched first."""
START_SCORE = 0.55
"""Minimum score of a detection to start a track."""
UNCONFIRMED = -1
"""Identity of a detection without a track, or with one that was seen only once."""

_MIN_SIMILARITY = 0.2
_MIN_SIMILARITY_OF_UNSURE = 0.5
_SAME_OBJECT = 0.4
"""Similarity to a tracked detection, or to a better new one, from which a detection starts no track of its own.

Boxes of cars parked side by side have about 0.25, a false box between them 0.4 and more.
"""
_OTHER_CLASS_FACTOR = 0.5
"""Similarity is multiplied by this where classes differ: a detector may change its mind between a van and a lorry."""
_LONGEST_STEP_S = 3600.0
_FALLBACK_FRAMES_PER_S = 25.0
_MAX_LOST_S = 1.5
"""Longest time that an object may be out of sight, under a bridge or a tree."""


class Tracker:
    """Tracks objects through one stream of frames.

    Args:
        frames_per_s: frame rate of a source whose frames carry no time; frames with a time ignore it.
    """

    min_score = LOW_SCORE

    # (N,) each, of the tracks in the order of `_boxes`.
    _class_id: npt.NDArray[np.int64]
    _is_confirmed: npt.NDArray[np.bool_]
    _seen_s: npt.NDArray[np.float64]
    _identity: npt.NDArray[np.int64]

    def __init__(self, *, frames_per_s: float | None = None) -> None:
        if frames_per_s is not None and not frames_per_s > 0:
            raise ValueError(f"frames_per_s: expected above 0, got {frames_per_s}")
        self._frames_per_s = frames_per_s
        self._camera = CameraMotion()
        self._next_identity = 1
        self._last_s: float | None = None
        self._last_given_s = self._stood_still_s = 0.0
        self._forget_all()

    def update(self, detections: Detections, frame: Frame) -> npt.NDArray[np.int64]:
        """Return the identity (N,) of each detection in the frame: 1 or more, or `UNCONFIRMED`.

        A frame older than the last one, as of a video that starts again, forgets all tracks; no identity is reused.

        Raises:
            ValueError: neither the frame nor the tracker knows the time.
        """
        time_s, is_first = self._time_of(frame)
        if is_first:
            self._forget_all()
        motion = self._camera.since_last(frame.image_rgb)
        if self._last_s is not None and not is_first:
            self._boxes.predict(time_s - self._last_s)
            self._boxes.warp(motion)
        self._last_s = time_s

        boxes = to_cxcywh(detections.boxes_xyxy_px)
        track_of = np.full(len(detections), -1, np.intp)
        sure = np.flatnonzero(detections.scores >= HIGH_SCORE)
        unsure = np.flatnonzero((detections.scores >= LOW_SCORE) & (detections.scores < HIGH_SCORE))
        every_track = np.arange(len(self._boxes))
        self._match(every_track, sure, boxes, detections.class_ids, _MIN_SIMILARITY, track_of)
        missing = np.setdiff1d(every_track[self._is_confirmed], track_of)
        self._match(missing, unsure, boxes, detections.class_ids, _MIN_SIMILARITY_OF_UNSURE, track_of)

        matched = np.flatnonzero(track_of >= 0)
        self._boxes.correct(track_of[matched], boxes[matched])
        self._class_id[track_of[matched]] = detections.class_ids[matched]
        self._is_confirmed[track_of[matched]] = True
        self._seen_s[track_of[matched]] = time_s

        new = _first_of_each(boxes, matched, np.flatnonzero((track_of < 0) & (detections.scores >= START_SCORE)))
        track_of[new] = len(self._boxes) + np.arange(len(new))
        self._start(boxes[new], detections.class_ids[new], time_s, is_confirmed=is_first)
        identities = np.full(len(detections), UNCONFIRMED, np.int64)
        shown = np.flatnonzero(track_of >= 0)
        identities[shown] = np.where(self._is_confirmed[track_of[shown]], self._identity[track_of[shown]], UNCONFIRMED)
        self._forget(time_s, frame.image_rgb.shape[:2])
        return identities

    def _time_of(self, frame: Frame) -> tuple[float, bool]:
        """Time of a frame in seconds, and whether tracking starts anew with it.

        A clock that stands still, as in videos whose frames all say 0, is replaced by the frame rate.
        """
        given_s = frame.time_s
        if given_s is None or not math.isfinite(given_s):
            if self._frames_per_s is None:
                raise ValueError(f"frame {frame.name} carries no time: give the tracker frames_per_s")
            given_s = frame.index / self._frames_per_s
        step_s = given_s - self._last_given_s
        self._last_given_s = given_s
        is_first = self._last_s is None or not 0 <= step_s <= _LONGEST_STEP_S
        if is_first:
            self._stood_still_s = 0.0
        elif step_s == 0:
            self._stood_still_s += 1 / (self._frames_per_s or _FALLBACK_FRAMES_PER_S)
        return given_s + self._stood_still_s, is_first

    def _match(
        self,
        tracks: npt.NDArray[np.intp],
        candidates: npt.NDArray[np.intp],
        boxes_cxcywh: npt.NDArray[np.float64],
        class_ids: npt.NDArray[np.int64],
        min_similarity: float,
        track_of: npt.NDArray[np.intp],
    ) -> None:
        """Match candidates to tracks, and write the track of each candidate into `track_of`."""
        alike = similarity(self._boxes.box[tracks], self._boxes.centre_std_px[tracks], boxes_cxcywh[candidates])
        alike[self._class_id[tracks][:, None] != class_ids[candidates][None]] *= _OTHER_CLASS_FACTOR
        row, column = assign(alike, minimum=min_similarity)
        track_of[candidates[column]] = tracks[row]

    def _start(
        self,
        boxes_cxcywh: npt.NDArray[np.float64],
        class_ids: npt.NDArray[np.int64],
        time_s: float,
        *,
        is_confirmed: bool,
    ) -> None:
        count = len(boxes_cxcywh)
        self._boxes.add(boxes_cxcywh)
        self._class_id = np.append(self._class_id, class_ids)
        self._is_confirmed = np.append(self._is_confirmed, np.full(count, is_confirmed))
        self._seen_s = np.append(self._seen_s, np.full(count, time_s))
        self._identity = np.append(self._identity, self._next_identity + np.arange(count))
        self._next_identity += count

    def _forget(self, time_s: float, image_hw: tuple[int, ...]) -> None:
        """Drop tracks that were out of sight for too long, have left the image, or were seen only once."""
        lost_s = time_s - self._seen_s
        centre = self._boxes.box[:, :2]
        is_inside = ((centre >= 0) & (centre < [image_hw[1], image_hw[0]])).all(axis=1)
        stays = (lost_s == 0) | ((lost_s <= _MAX_LOST_S) & is_inside & self._is_confirmed)
        self._boxes.keep(stays)
        self._class_id, self._is_confirmed = self._class_id[stays], self._is_confirmed[stays]
        self._seen_s, self._identity = self._seen_s[stays], self._identity[stays]

    def _forget_all(self) -> None:
        self._boxes = KalmanBoxes()
        self._class_id = np.zeros(0, np.int64)
        self._is_confirmed = np.zeros(0, bool)
        self._seen_s = np.zeros(0)
        self._identity = np.zeros(0, np.int64)


def _first_of_each(
    boxes_cxcywh: npt.NDArray[np.float64], followed: npt.NDArray[np.intp], new: npt.NDArray[np.intp]
) -> npt.NDArray[np.intp]:
    """Keep the `new` detections, best first, of objects that neither `followed` ones nor better new ones show."""
    shown = np.concatenate([followed, new])
    alike = similarity(boxes_cxcywh[shown], np.zeros(len(shown)), boxes_cxcywh[new]) >= _SAME_OBJECT
    taken = np.concatenate([np.ones(len(followed), bool), np.zeros(len(new), bool)])
    for index in range(len(new)):
        taken[len(followed) + index] = not (alike[:, index] & taken).any()
    kept: npt.NDArray[np.intp] = new[taken[len(followed) :]]
    return kept
