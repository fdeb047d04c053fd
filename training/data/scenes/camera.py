"""Small drone camera: linear light to a picture by lens, exposure, haze, sensor and JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from tinydet.training.data.scenes.canvas import ImageF32, ImageU8, blur, spread, times

_TO_LINEAR = (np.linspace(0, 1, 256) ** 2.2).astype(np.float32)
_CURVE_STEPS = 4096
_LUMA_RGB = np.array([0.2126, 0.7152, 0.0722], np.float32)


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """Camera and weather of one flight. Lengths are in pixels of the picture."""

    exposure: float
    """Gain on linear light."""
    white_balance: ImageF32
    """Gains (3,) of red, green and blue."""
    haze: float
    """Share of veiling light, 0-1."""
    haze_rgb: ImageF32
    contrast: float
    saturation: float
    vignette: float
    """Share of light lost in the corners, 0-1."""
    blur_px: float
    motion_px: float
    motion_rad: float
    sharpening: float
    shot_noise: float
    read_noise: float
    jpeg_quality: int


def to_linear(rgb: ImageU8) -> ImageF32:
    """Convert sRGB 0-255 (H, W, 3) to linear light 0-1 (gamma 2.2)."""
    return np.asarray(cv2.LUT(rgb, _TO_LINEAR), np.float32)


def make_camera(rng: np.random.Generator, mean_light: float) -> Camera:
    """Draw a camera, exposed for a scene of this mean linear brightness."""
    target = rng.uniform(0.12, 0.23)
    warmth = rng.normal(-0.035, 0.04)
    green = rng.normal(0, 0.02)
    return Camera(
        exposure=float(np.clip(target / max(mean_light, 1e-3), 0.4, 2.4)),
        white_balance=np.array([1 + warmth, 1 + green, 1 - warmth], np.float32),
        haze=float(rng.choice([0.0, rng.uniform(0.02, 0.08), rng.uniform(0.08, 0.2)], p=[0.4, 0.45, 0.15])),
        haze_rgb=np.array([0.42, 0.45, 0.50], np.float32) * np.float32(rng.uniform(0.7, 1.1)),
        contrast=rng.uniform(1.05, 1.36),
        saturation=rng.uniform(0.55, 0.98),
        vignette=rng.uniform(0.0, 0.25),
        blur_px=rng.uniform(0.25, 0.65),
        motion_px=float(rng.choice([0.0, rng.uniform(0.4, 2.2)], p=[0.65, 0.35])),
        motion_rad=rng.uniform(0, np.pi),
        sharpening=float(rng.choice([0.0, rng.uniform(0.2, 0.8)], p=[0.35, 0.65])),
        shot_noise=rng.uniform(0.001, 0.006),
        read_noise=rng.uniform(0.001, 0.004),
        jpeg_quality=int(rng.integers(72, 97)),
    )


def luminance(linear_rgb: ImageF32) -> float:
    """Mean linear brightness, as of a light meter."""
    return float(linear_rgb[::4, ::4].reshape(-1, 3).mean(axis=0) @ _LUMA_RGB)


def _motion_kernel(length_px: float, angle_rad: float) -> ImageF32:
    size = 2 * int(np.ceil(length_px / 2)) + 3
    kernel = np.zeros((size, size), np.float32)
    middle = size // 2
    for t in np.linspace(-0.5, 0.5, 17):
        x, y = middle + t * length_px * np.cos(angle_rad), middle + t * length_px * np.sin(angle_rad)
        x0, y0 = int(x), int(y)
        fx, fy = x - x0, y - y0
        kernel[y0 : y0 + 2, x0 : x0 + 2] += np.outer([1 - fy, fy], [1 - fx, fx]).astype(np.float32)
    return np.asarray(kernel / kernel.sum(), np.float32)


def expose(linear_rgb: ImageF32, camera: Camera, rng: np.random.Generator) -> ImageU8:
    """Take an RGB picture (H, W, 3) uint8 of linear light (H, W, 3); `rng` draws the noise."""
    height, width = linear_rgb.shape[:2]
    light = _through_lens(linear_rgb, camera)
    strength = np.sqrt(light * np.float32(8 * camera.shot_noise**2) + np.float32(camera.read_noise**2))
    light = light + times(_grain(rng, height, width), strength)

    index = np.clip(light * np.float32(_CURVE_STEPS - 1), 0, _CURVE_STEPS - 1).astype(np.uint16)
    picture = np.take(_tone_curve(camera.contrast), index)
    towards_grey = np.eye(3, dtype=np.float32) * np.float32(camera.saturation) + (1 - camera.saturation) * _LUMA_RGB
    picture = np.asarray(cv2.transform(picture, towards_grey.astype(np.float32)), np.float32)
    if camera.sharpening:
        soft = blur(picture, 1.0)
        sharp = cv2.addWeighted(picture, 1 + camera.sharpening, soft, -camera.sharpening, 0)
        picture = np.asarray(sharp, np.float32)
    rgb = np.clip(picture + np.float32(0.5), 0, 255).astype(np.uint8)
    is_encoded, jpeg = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, camera.jpeg_quality])
    assert is_encoded
    return np.ascontiguousarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1], np.uint8)


def _through_lens(linear_rgb: ImageF32, camera: Camera) -> ImageF32:
    """Light (H, W, 3) on the sensor: haze, exposure, motion, blur, darker corners."""
    height, width = linear_rgb.shape[:2]
    # One 3x4 matrix does exposure, white balance and the veil of haze.
    gains = camera.white_balance * np.float32(camera.exposure * (1 - camera.haze))
    light = cv2.transform(linear_rgb, np.column_stack([np.diag(gains), camera.haze_rgb * camera.haze]))
    if camera.motion_px:
        light = cv2.filter2D(light, -1, _motion_kernel(camera.motion_px, camera.motion_rad))
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None] ** 2
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :] ** 2
    falloff = spread(1 - np.float32(camera.vignette / 2) * (x + y))
    return np.maximum(times(blur(np.asarray(light, np.float32), camera.blur_px), falloff), 0)


def _grain(rng: np.random.Generator, height: int, width: int) -> ImageF32:
    """Sensor noise (H, W, 3): demosaicking and the encoder leave it fine in brightness, coarser in colour."""
    fine = blur(rng.standard_normal((height, width), dtype=np.float32), 0.55) * np.float32(1.8)
    half_hw = (-(-height // 2), -(-width // 2))
    coarse = cv2.resize(rng.standard_normal((*half_hw, 2), dtype=np.float32), (2 * half_hw[1], 2 * half_hw[0]))
    red, blue = (np.asarray(plane, np.float32) for plane in cv2.split(coarse[:height, :width]))
    return np.asarray(cv2.merge((fine + 0.7 * red, fine - 0.25 * (red + blue), fine + 0.9 * blue)), np.float32)


def _tone_curve(contrast: float) -> ImageF32:
    """Table from linear light to 0-255: gamma, contrast about the middle, and a shoulder that keeps the highlights."""
    value = np.linspace(0, 1, _CURVE_STEPS) ** (1 / 2.2)
    value = 0.45 + (value - 0.45) * contrast
    knee = 0.82
    high = np.maximum(value - knee, 0)
    value = np.minimum(value, knee) + (1 - knee) * (1 - np.exp(-high / (1 - knee)))
    return np.asarray(np.clip(value, 0, 1) * 255, np.float32)
