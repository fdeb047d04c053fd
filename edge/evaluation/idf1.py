"""Scores of tracking: IDF1 (Ristani et al., ECCV workshops 2016, arXiv:1609.01775) and identity switches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from tinydet.edge.boxes import iou
from tinydet.edge.tracking.assignment import assign

MIN_IOU = 0.5


@dataclass(frozen=True, kw_only=True, eq=False)
class Tracked:
    """Objects of one frame with their identities: ground truth, or tracked."""

    boxes_xyxy_px: npt.NDArray[np.float32]
    """(N, 4) left, top, right, bottom in pixels."""
    class_ids: npt.NDArray[np.int64]
    """(N,) index into the class names."""
    identities: npt.NDArray[np.int64]
    """(N,) unique in the frame."""

    def of_class(self, class_id: int) -> Tracked:
        """Pick the objects of one class."""
        return self.select(self.class_ids == class_id)

    def select(self, mask: npt.NDArray[np.bool_]) -> Tracked:
        """Pick objects by a mask (N,)."""
        return Tracked(
            boxes_xyxy_px=self.boxes_xyxy_px[mask], class_ids=self.class_ids[mask], identities=self.identities[mask]
        )


@dataclass(frozen=True, kw_only=True)
class IdentityScore:
    """Tracking scores. idf1, precision, recall: 0 to 1, None without objects or tracks. switches: number of times that
    the identity found for an object changed."""

    idf1: float | None
    precision: float | None
    recall: float | None
    switches: int

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the scores by the keys of JSON files."""
        values = asdict(self)
        return {"IDF1": values["idf1"], "IDP": values["precision"], "IDR": values["recall"], "IDsw": values["switches"]}


def measure_identity(clips: Sequence[Sequence[tuple[Tracked, Tracked]]]) -> IdentityScore:
    """Score clips of (ground truth, tracked) frames; identities of different clips are unrelated.

    Over a whole clip each true identity is assigned at most one tracked identity, so that as many boxes as possible
    agree (IoU of 0.5 or more): IDF1 = 2 IDTP / (true boxes + tracked boxes). Classes are ignored.
    """
    agreeing = marked = found = switches = 0
    for clip in clips:
        together: Counter[tuple[int, int]] = Counter()
        last: dict[int, int] = {}
        for truth, tracked in clip:
            marked, found = marked + len(truth.identities), found + len(tracked.identities)
            overlap = iou(truth.boxes_xyxy_px[:, None].astype(np.float64), tracked.boxes_xyxy_px.astype(np.float64))
            rows, columns = np.nonzero(overlap >= MIN_IOU)
            together.update(zip(truth.identities[rows].tolist(), tracked.identities[columns].tolist(), strict=True))
            switches += _switches(truth.identities, tracked.identities, overlap, last)
        agreeing += _most_together(together)
    return IdentityScore(
        idf1=2 * agreeing / (marked + found) if marked + found else None,
        precision=agreeing / found if found else None,
        recall=agreeing / marked if marked else None,
        switches=switches,
    )


def _most_together(together: Counter[tuple[int, int]]) -> int:
    """Count the frames that agree under the best one-to-one assignment of identities."""
    if not together:
        return 0
    truths, truth_row = np.unique([pair[0] for pair in together], return_inverse=True)
    founds, found_column = np.unique([pair[1] for pair in together], return_inverse=True)
    frames = np.zeros((len(truths), len(founds)))
    frames[truth_row, found_column] = list(together.values())
    row, column = assign(frames, minimum=1.0)
    return int(frames[row, column].sum())


def _switches(
    truth_ids: npt.NDArray[np.int64],
    found_ids: npt.NDArray[np.int64],
    overlap: npt.NDArray[np.float64],
    last: dict[int, int],
) -> int:
    """Match one frame, pairs of the frame before first (CLEAR MOT, Bernardin and Stiefelhagen 2008); count switches."""
    before = np.array([last.get(identity, -1) for identity in truth_ids.tolist()], np.int64)
    weight = overlap + (before[:, None] == found_ids[None])
    row, column = assign(np.where(overlap >= MIN_IOU, weight, 0.0), minimum=MIN_IOU)
    count = 0
    for truth, found in zip(truth_ids[row].tolist(), found_ids[column].tolist(), strict=True):
        count += last.get(truth, found) != found
        last[truth] = found
    return count
