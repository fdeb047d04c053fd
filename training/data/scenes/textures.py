"""Noise fields, and ground textures made from them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from tinydet.training.data.scenes.canvas import ImageF32
from tinydet.training.data.scenes.palette import TEXTURES

# Which way grass drifts: towards yellow-brown, relative per channel.
_HUE_DRIFT_RGB = (np.float32(0.20), np.float32(0.04), np.float32(-0.05))


def noise(rng: np.random.Generator, hw: tuple[int, int], grain_px: float) -> ImageF32:
    """Smooth unit-variance noise (H, W) whose grains measure about `grain_px`."""
    if grain_px <= 1:
        return rng.standard_normal(hw, dtype=np.float32)
    small_hw = (int(np.ceil(hw[0] / grain_px)) + 3, int(np.ceil(hw[1] / grain_px)) + 3)
    small = rng.standard_normal(small_hw, dtype=np.float32)
    size = int(small_hw[1] * grain_px) + 1, int(small_hw[0] * grain_px) + 1
    field = cv2.resize(small, size, interpolation=cv2.INTER_CUBIC)[: hw[0], : hw[1]]
    return np.asarray(field * np.float32(1.25), np.float32)


def fractal(rng: np.random.Generator, hw: tuple[int, int], grain_px: float, octaves: int = 3) -> ImageF32:
    """Noise with finer octaves of falling strength on top."""
    total = noise(rng, hw, grain_px)
    for octave in range(1, octaves):
        total += noise(rng, hw, grain_px / 2**octave) * np.float32(0.6**octave)
    return total


def _strength(material: npt.NDArray[np.uint8], name: str) -> ImageF32:
    table = np.zeros(256, np.float32)
    for key, texture in TEXTURES.items():
        table[key] = getattr(texture, name)
    return np.asarray(cv2.LUT(material, table), np.float32)


def textured(
    rng: np.random.Generator,
    linear_rgb: ImageF32,
    material: npt.NDArray[np.uint8],
    stains: ImageF32,
    *,
    gsd_m: float,
    row_period_m: float,
    row_heading_rad: float,
) -> ImageF32:
    """The ground (H, W, 3) with the texture of each material and with its stains.

    The grain is never finer than a pixel: finer grain averages out in a camera, so the fine grain weakens with
    the ground sampling distance.
    """
    hw = (material.shape[0], material.shape[1])
    brightness = noise(rng, hw, max(1.3, 0.35 / gsd_m)) * _strength(material, "fine")
    brightness += noise(rng, hw, max(2.0, 1.2 / gsd_m)) * _strength(material, "medium")
    drift = fractal(rng, hw, 11.0 / gsd_m)
    brightness += drift * _strength(material, "coarse") * np.float32(0.8)

    rows = _strength(material, "rows")
    if rows.any():
        period_px = row_period_m / gsd_m
        x_px, y_px = np.arange(hw[1], dtype=np.float32), np.arange(hw[0], dtype=np.float32)
        across_px = np.cos(row_heading_rad) * x_px[None, :] + np.sin(row_heading_rad) * y_px[:, None]
        across_px += drift * np.float32(0.03 * period_px)
        fading = min(1.0, period_px / 5)
        brightness += rows * np.float32(fading) * np.sin(across_px * np.float32(2 * np.pi / period_px))
    # ASPHALT and the like keep their colour: only plants and soil drift in hue.
    hue = _strength(material, "hue") * fractal(rng, hw, 6.0 / gsd_m)
    factor = np.clip(1 + brightness + stains, 0.25, 1.9)
    hue = np.clip(hue, -1.5, 1.5)
    gains = cv2.merge([factor * (1 + hue * channel) for channel in _HUE_DRIFT_RGB])
    return np.asarray(cv2.multiply(linear_rgb, gains), np.float32)
