"""Supersampled drawing surfaces: draw outlines, and average them to pixels as a sensor does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.training.data.scenes.geometry import Affine, Points, apply, split
from tinydet.training.data.scenes.palette import Colour, Material

ImageU8 = npt.NDArray[np.uint8]
ImageF32 = npt.NDArray[np.float32]

SUPERSAMPLE = 3
_FIXED_POINT_BITS = 4


@dataclass(frozen=True, eq=False)
class Paint:
    """Outlines of one colour on the ground, in metres; they cover earlier paint."""

    outlines_m: Sequence[Points]
    colour: Colour
    material: Material | None = None
    """None keeps the material below (for markings)."""


@dataclass(frozen=True, eq=False)
class Stain:
    """Soft darkening (negative amount) or lightening of the ground: tyre tracks, oil, dust."""

    outlines_m: Sequence[Points]
    amount: float


def fixed_point(outlines_px: Sequence[Points], scale: float) -> list[npt.NDArray[np.int32]]:
    """Convert outlines in pixels (edges at integers) to OpenCV's fixed-point vertices (pixel centres at integers)."""
    if not outlines_px:
        return []
    factor = 1 << _FIXED_POINT_BITS
    every = np.rint(np.concatenate(outlines_px) * (scale * factor) - 0.5 * factor).astype(np.int32)
    return split(every, outlines_px)


def in_picture(outlines_m: Sequence[Points], to_px: Affine, hw: tuple[int, int]) -> list[Points]:
    """Outlines in pixels, without those outside the picture."""
    if not outlines_m:
        return []
    kept = []
    for outline in split(apply(to_px, np.concatenate(outlines_m)), outlines_m):
        (x0, y0), (x1, y1) = outline.min(axis=0), outline.max(axis=0)
        if x1 > 0 and y1 > 0 and x0 < hw[1] and y0 < hw[0]:
            kept.append(outline)
    return kept


def blur(image: ImageF32, sigma_px: float) -> ImageF32:
    """Gaussian blur of a picture (H, W) or (H, W, C)."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma_px), np.float32)


def times(first: ImageF32, second: ImageF32) -> ImageF32:
    """Product of two pictures of the same shape."""
    return np.asarray(cv2.multiply(first, second), np.float32)


def spread(mask: ImageF32) -> ImageF32:
    """Repeat a mask (H, W) as three channels (H, W, 3), which multiply much faster than by broadcasting."""
    return np.asarray(cv2.merge((mask, mask, mask)), np.float32)


def fill(image: npt.NDArray[np.uint8], outlines_px: Sequence[Points], value: Colour | int, scale: float) -> None:
    """Fill outlines in pixels on an image of `scale` times the resolution."""
    colour = value if isinstance(value, tuple) else (value,)
    for vertices in fixed_point(outlines_px, scale):  # one call each: fillPoly would punch holes into overlaps
        cv2.fillPoly(image, [vertices], colour, cv2.LINE_8, _FIXED_POINT_BITS)


def shrink(image: ImageU8, hw: tuple[int, int]) -> ImageU8:
    """Reduce an image by area averaging, as the pixels of a sensor do."""
    return cv2.resize(image, (hw[1], hw[0]), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


class Surface:
    """Supersampled RGB surface with coverage; unpainted areas are transparent."""

    def __init__(self, hw: tuple[int, int], supersample: int = SUPERSAMPLE) -> None:
        self.hw = hw
        self._supersample = supersample
        self._rgba = np.zeros((hw[0] * supersample, hw[1] * supersample, 4), np.uint8)

    def paint(self, outlines_px: Sequence[Points], colours: Sequence[Colour]) -> None:
        """Fill every outline with its colour, in order."""
        vertices = fixed_point(outlines_px, self._supersample)
        for outline, colour in zip(vertices, colours, strict=True):
            cv2.fillPoly(self._rgba, [outline], (*colour, 255), cv2.LINE_8, _FIXED_POINT_BITS)

    def shrunk(self) -> tuple[ImageU8, ImageF32]:
        """Average to colours (H, W, 3) of the covered area, and coverage 0-1 (H, W)."""
        rgba = shrink(self._rgba, self.hw)
        coverage = rgba[..., 3].astype(np.float32) / 255
        rgb = cv2.multiply(rgba[..., :3], spread(1 / np.maximum(coverage, 1 / 255)), dtype=cv2.CV_8U)
        return np.asarray(rgb, np.uint8), coverage


class Ground:
    """Opaque ground: supersampled colours, with materials and stains at the resolution of the picture."""

    def __init__(self, hw: tuple[int, int], to_px: Affine) -> None:
        self.hw = hw
        self.to_px = to_px
        self._rgb = np.zeros((hw[0] * SUPERSAMPLE, hw[1] * SUPERSAMPLE, 3), np.uint8)
        self.material = np.zeros(hw, np.uint8)
        self.stains = np.zeros(hw, np.float32)

    def paint(self, paint: Paint) -> None:
        outlines_px = in_picture(paint.outlines_m, self.to_px, self.hw)
        fill(self._rgb, outlines_px, paint.colour, SUPERSAMPLE)
        if paint.material is not None:
            fill(self.material, outlines_px, int(paint.material), 1.0)

    def stain(self, stains: Sequence[Stain], blur_px: float) -> None:
        """Draw all stains, blurred together."""
        for stain in stains:
            for vertices in fixed_point(in_picture(stain.outlines_m, self.to_px, self.hw), 1.0):
                cv2.fillPoly(self.stains, [vertices], (stain.amount,), cv2.LINE_8, _FIXED_POINT_BITS)
        self.stains = blur(self.stains, max(blur_px, 0.6))

    def shrunk(self) -> ImageU8:
        return shrink(self._rgb, self.hw)
