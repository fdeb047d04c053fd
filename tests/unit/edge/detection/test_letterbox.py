from __future__ import annotations

import cv2
import numpy as np
import pytest

from tinydet.edge.detection.letterbox import PAD_VALUE, letterbox, resize


@pytest.mark.parametrize(
    ("source_hw", "content_hw", "top_px", "left_px"),
    [
        ((1080, 1920), (360, 640), 140, 0),
        ((1920, 1080), (640, 360), 0, 140),
        ((64, 64), (640, 640), 0, 0),
        ((1, 1), (640, 640), 0, 0),
        ((4320, 7680), (360, 640), 140, 0),
        ((3, 8000), (1, 640), 319, 0),
        ((547, 684), (512, 640), 64, 0),
    ],
)
def test_keeps_the_aspect_ratio_and_centres(
    source_hw: tuple[int, int], content_hw: tuple[int, int], top_px: int, left_px: int
) -> None:
    letterboxed = letterbox(np.zeros((*source_hw, 3), np.uint8), (640, 640))
    assert letterboxed.image.shape == (640, 640, 3)
    assert (letterboxed.content_hw, letterboxed.top_px, letterboxed.left_px) == (content_hw, top_px, left_px)
    padding = np.ones((640, 640), bool)
    padding[top_px : top_px + content_hw[0], left_px : left_px + content_hw[1]] = False
    assert (letterboxed.image[padding] == PAD_VALUE).all()
    assert (letterboxed.image[~padding] == 0).all()


@pytest.mark.parametrize("source_hw", [(1080, 1920), (547, 684), (33, 1000), (3, 5)])
def test_boxes_go_to_input_pixels_and_back(source_hw: tuple[int, int]) -> None:
    letterboxed = letterbox(np.zeros((*source_hw, 3), np.uint8), (640, 640))
    height, width = letterboxed.content_hw
    whole = np.array([[letterboxed.left_px, letterboxed.top_px] * 2], np.float32)
    whole[0, 2:] += (width, height)
    assert np.allclose(letterboxed.to_source(whole), [[0, 0, source_hw[1], source_hw[0]]], atol=1e-3)
    beyond = whole + np.array([[-50, -50, 50, 50]], np.float32)
    assert np.allclose(letterboxed.to_source(beyond), [[0, 0, source_hw[1], source_hw[0]]], atol=1e-3)
    assert letterboxed.to_source(np.zeros((0, 4), np.float32)).shape == (0, 4)


def test_a_marked_spot_comes_back_to_where_it_was() -> None:
    image = np.zeros((1080, 1920, 3), np.uint8)
    image[600:630, 900:930] = 255
    letterboxed = letterbox(image, (640, 640))
    y, x = np.nonzero(letterboxed.image[..., 0] > 127)
    inside = (y >= 140) & (y < 500)
    box = np.array([[x[inside].min(), y[inside].min(), x[inside].max() + 1, y[inside].max() + 1]], np.float32)
    assert np.allclose(letterboxed.to_source(box), [[900, 600, 930, 630]], atol=1.5)


@pytest.mark.parametrize("source_hw", [(64, 64), (32, 64), (100, 50), (300, 200), (7, 200)])
def test_the_result_and_the_image_share_no_memory(source_hw: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*source_hw, 3)).astype(np.uint8)
    first = letterbox(image, (64, 64)).image
    kept = first.copy()
    image[:] = 0
    letterbox(image, (64, 64))
    assert np.array_equal(first, kept)


@pytest.mark.parametrize("source_hw", [(1080, 1920), (2160, 3840), (1250, 2222)])
def test_shrinking_aliases_far_less_than_plain_interpolation(source_hw: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    image = np.asarray(
        cv2.GaussianBlur(random.integers(0, 256, (*source_hw, 3)).astype(np.uint8), (0, 0), 0.8), np.uint8
    )
    exact, plain = (
        cv2.resize(image, (640, 360), interpolation=interpolation).astype(float)
        for interpolation in (cv2.INTER_AREA, cv2.INTER_LINEAR)
    )
    error, plain_error = np.abs(resize(image, 640, 360) - exact).mean(), np.abs(plain - exact).mean()
    assert error < 0.6 * plain_error


@pytest.mark.parametrize("size_wh", [(640, 360), (1, 1), (3000, 10)])
def test_resizes_to_any_size(size_wh: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (100, 201, 3)).astype(np.uint8)
    assert resize(image, *size_wh).shape == (size_wh[1], size_wh[0], 3)


@pytest.mark.parametrize("source_hw", [(274, 342), (215, 882), (900, 300), (13, 7)])
def test_from_source_undoes_to_source(source_hw: tuple[int, int]) -> None:
    fitted = letterbox(np.zeros((*source_hw, 3), np.uint8), (640, 640))
    height, width = source_hw
    boxes = np.array([[0, 0, width, height], [1, 2, 3, 5]], np.float32)
    inside = fitted.from_source(boxes)
    content_height, content_width = fitted.content_hw
    left, top = fitted.left_px, fitted.top_px
    np.testing.assert_allclose(inside[0], [left, top, left + content_width, top + content_height], rtol=1e-6)
    np.testing.assert_allclose(fitted.to_source(inside), boxes, atol=1e-3)
