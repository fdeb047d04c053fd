from __future__ import annotations

import numpy as np
import pytest

from tinydet.edge.detections import Detections
from tinydet.edge.sinks.drawing import class_color_rgb, draw_detections, drawn_name


def one(box: list[float], class_id: int = 0) -> Detections:
    return Detections(
        boxes_xyxy_px=np.array([box], np.float32), scores=np.ones(1, np.float32), class_ids=np.array([class_id])
    )


def test_the_object_itself_stays_visible() -> None:
    image = np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8)
    before = image.copy()
    drawn = draw_detections(image, one([200, 300, 208, 308], 1), ["car", "person"])
    assert np.array_equal(image, before), "the image given is not touched"
    assert np.array_equal(drawn[300:308, 200:208], image[300:308, 200:208])
    assert (drawn[298, 198:210] == class_color_rgb(1)).all()


def test_classes_differ_in_colour() -> None:
    assert len({class_color_rgb(class_id) for class_id in range(8)}) == 8


@pytest.mark.parametrize("size_hw", [(1, 1), (8, 8), (30, 400), (3000, 4000)])
@pytest.mark.parametrize("detections", [Detections.empty(), one([0, 0, 1, 1])])
def test_any_size_can_be_drawn_on(size_hw: tuple[int, int], detections: Detections) -> None:
    drawn = draw_detections(np.zeros((*size_hw, 3), np.uint8), detections, ["a class with a long name"])
    assert drawn.shape == (*size_hw, 3)


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("van", "van"),
        ("gro\u00df", "gross"),
        ("Gr\u00fcnfl\u00e4che", "Grunflache"),
        ("\u0141\u00f3d\u017a", "Lodz"),
        ("\u8f66", "class 0"),
        ("gro\u00df \u8f66", "class 0"),
        ("\U0001f681", "class 0"),
    ],
)
def test_names_are_drawn_in_letters_that_the_font_has(name: str, drawn: str) -> None:
    """OpenCV draws every other character as `?`."""
    assert drawn_name([name], 0) == drawn
