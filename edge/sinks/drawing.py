"""Drawing detections on an image without covering what they mark."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.edge.detections import Detections

#: RGB colours of classes, distinct on grey roads, green fields and red roofs (after Okabe and Ito, "Color Universal
#: Design", 2008).
PALETTE_RGB = (
    (255, 214, 10),
    (0, 229, 255),
    (255, 64, 129),
    (118, 255, 3),
    (255, 145, 0),
    (179, 136, 255),
    (255, 255, 255),
    (64, 196, 255),
)

_SHORT_SIDE_OF_ONE_PIXEL_LINES_PX = 1100
_BOX_GAP_PX = 2
_IDENTITY_SCALE = 0.35
_FONT = cv2.FONT_HERSHEY_SIMPLEX
#: Latin letters that Unicode does not take apart into a letter and an accent.
_SPELLED = {
    "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L",
    "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th", "ħ": "h", "Ħ": "H",
}  # fmt: skip


def draw_detections(
    image_rgb: npt.NDArray[np.uint8],
    detections: Detections,
    class_names: Sequence[str],
    track_ids: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.uint8]:
    """Draw a thin box around every object, and a legend that counts them by class, on a copy of (H, W, 3) RGB.

    Boxes keep a gap of two pixels to the object and have no label: at 8 px it would hide the object and its neighbours.
    The colour shows the class. Identities (N,) are written small above their boxes; those below 0 are not.

    Raises:
        ValueError: `track_ids` has another length than the detections.
    """
    if track_ids is not None and track_ids.shape != (len(detections),):
        raise ValueError(f"track_ids: expected ({len(detections)},), got {track_ids.shape}")
    drawn = image_rgb.copy()
    unit = max(1, round(min(image_rgb.shape[:2]) / _SHORT_SIDE_OF_ONE_PIXEL_LINES_PX))
    gap = _BOX_GAP_PX * unit
    boxes = np.round(detections.boxes_xyxy_px).astype(int) + np.array([-gap, -gap, gap - 1, gap - 1])
    # The best last, on top.
    for box, class_id in zip(boxes[::-1].tolist(), detections.class_ids[::-1].tolist(), strict=True):
        cv2.rectangle(drawn, (box[0], box[1]), (box[2], box[3]), class_color_rgb(class_id), unit)
    if track_ids is not None:
        _draw_identities(drawn, boxes, detections, track_ids, unit)
    _draw_legend(drawn, detections, class_names)
    return drawn


def _draw_identities(
    image: npt.NDArray[np.uint8],
    boxes: npt.NDArray[np.int_],
    detections: Detections,
    track_ids: npt.NDArray[np.int64],
    unit: int,
) -> None:
    """Write identities in the colour of the class with a dark outline, readable on any ground."""
    scale = _IDENTITY_SCALE * unit
    for box, class_id, identity in zip(boxes.tolist(), detections.class_ids.tolist(), track_ids.tolist(), strict=True):
        if identity < 0:
            continue
        at = box[0], box[1] - 2 * unit
        cv2.putText(image, str(identity), at, _FONT, scale, (0, 0, 0), 3 * unit, cv2.LINE_AA)
        cv2.putText(image, str(identity), at, _FONT, scale, class_color_rgb(class_id), unit, cv2.LINE_AA)


def class_color_rgb(class_id: int) -> tuple[int, int, int]:
    """Colour of a class."""
    return PALETTE_RGB[class_id % len(PALETTE_RGB)]


def drawn_name(class_names: Sequence[str], class_id: int) -> str:
    """The name of a class in the ASCII letters that OpenCV's font has: `gross` for `groß`; `class 3` for `车`."""
    spelled = "".join(_SPELLED.get(letter, letter) for letter in class_names[class_id])
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", spelled) if not unicodedata.combining(letter))
    return plain if plain.isascii() and plain.isprintable() else f"class {class_id}"


def _draw_legend(image: npt.NDArray[np.uint8], detections: Detections, class_names: Sequence[str]) -> None:
    """Draw colour, count and name of each class found on a dark strip in the top left corner."""
    counts = np.bincount(detections.class_ids, minlength=len(class_names))
    lines = [
        (class_id, f"{count} {drawn_name(class_names, class_id)}") for class_id, count in enumerate(counts) if count
    ]
    scale = min(1.6, max(0.35, min(image.shape[:2]) / 1500))
    thickness = max(1, round(scale * 1.5))
    text_height = cv2.getTextSize("0", _FONT, scale, thickness)[0][1]
    row, margin = round(text_height * 1.9), round(text_height * 0.7)
    texts = [text for _, text in lines] or ["nothing found"]
    text_width = max(cv2.getTextSize(text, _FONT, scale, thickness)[0][0] for text in texts)
    left = margin * 2 + text_height if lines else margin
    strip = image[: row * len(texts) + margin, : left + text_width + margin]
    np.copyto(strip, strip // 3)
    for index, text in enumerate(texts):
        baseline = margin + row * index + round(text_height * 1.2)
        cv2.putText(image, text, (left, baseline), _FONT, scale, (255, 255, 255), thickness, cv2.LINE_AA)
        if lines:
            corners = (margin, baseline - text_height), (margin + text_height, baseline)
            cv2.rectangle(image, *corners, class_color_rgb(lines[index][0]), -1)
