"""`Tracker`: gives every detection the identity of the object it shows.

Detections are matched to predicted boxes in two rounds, sure ones first, then the unsure ones to what is still missing
(ByteTrack, Zhang et al., arXiv:2110.06864). All waiting is counted in seconds: frame rates at the edge are low and
uneven.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tinydet.edge.detections import Detections
from tinydet.edge.sources.frames import Frame
from tinydet.edge.tracking.assignment import assign
from tinydet.edge.tracking.association import similarity, to_cxcywh
from tinydet.edge.tracking.camera_motion import CameraMotion
from tinydet.edge.tracking.kalman import KalmanBoxes

LOW_SCORE = 0.1
"""Detections below are not looked at; a detector whose detections are tracked need not keep them."""
HIGH_SCORE = 0.45
"""Detections from here on are sure; the rest only prolongs tracks."""
START_SCORE = 0.55
"""Detections from here on may start a track."""
UNCONFIRMED = -1
"""The identity of a detection that belongs to no track, or to one that was seen only once."""

_MIN_SIMILARITY = 0.2
_MIN_SIMILARITY_OF_UNSURE = 0.5
_SAME_OBJECT = 0.4
"""As similar as that to a tracked detection, or to a better new one, a detection starts no track of its own.

Of cars parked side by side two boxes are about 0.25 similar, and what a detector sees between them 0.4 and more.
"""
_OTHER_CLASS_FACTOR = 0.5
"""A detector may call a van now small, now large; of two candidates that of the same class goes first."""
_MAX_LOST_S = 1.5
"""How long an object may be out of sight, under a bridge or a tree."""


class Tracker:
    """Follows objects through one stream of frames.

    frames_per_s: of a source whose frames carry no time.
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
        self._forget_all()

    def update(self, detections: Detections, frame: Frame) -> npt.NDArray[np.int64]:
        """(N,) the identity of each detection in the frame, from 1 on, or `UNCONFIRMED`.

        A frame that is older than the last one starts anew (a video that is played again): no old identity comes back.

        Raises:
            ValueError: neither the frame nor the tracker knows the time.
        """
        time_s = self._time_of(frame)
        is_first = self._last_s is None or time_s < self._last_s
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

    def _time_of(self, frame: Frame) -> float:
        if frame.time_s is not None:
            return frame.time_s
        if self._frames_per_s is None:
            raise ValueError(f"frame {frame.name} carries no time: give the tracker frames_per_s")
        return frame.index / self._frames_per_s

    def _match(
        self,
        tracks: npt.NDArray[np.intp],
        candidates: npt.NDArray[np.intp],
        boxes_cxcywh: npt.NDArray[np.float64],
        class_ids: npt.NDArray[np.int64],
        min_similarity: float,
        track_of: npt.NDArray[np.intp],
    ) -> None:
        """Write into `track_of` which of the tracks the candidates show."""
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
        """Drop tracks that were out of sight for long, have left the picture, or were seen only once."""
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
    """Those of the `new` detections, best first, that show an object which is not `followed` and none before them."""
    shown = np.concatenate([followed, new])
    alike = similarity(boxes_cxcywh[shown], np.zeros(len(shown)), boxes_cxcywh[new]) >= _SAME_OBJECT
    taken = np.concatenate([np.ones(len(followed), bool), np.zeros(len(new), bool)])
    for index in range(len(new)):
        taken[len(followed) + index] = not (alike[:, index] & taken).any()
    kept: npt.NDArray[np.intp] = new[taken[len(followed) :]]
    return kept
