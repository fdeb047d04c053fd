"""Colours (sRGB, 0-255) and ground materials with the strength of their textures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

import numpy as np

Colour = tuple[int, int, int]
T = TypeVar("T")


class Material(IntEnum):
    """Material of the ground."""

    ASPHALT = 0
    CONCRETE = 1
    PAVING = 2
    LAWN = 3
    MEADOW = 4
    SOIL = 5
    CROP = 6
    GRAVEL = 7
    SMOOTH = 8


@dataclass(frozen=True, kw_only=True)
class Texture:
    """Texture of a material: standard deviations of its relative brightness by grain size, and of its hue."""

    fine: float
    """Grain of about a pixel."""
    medium: float
    """Clumps of about a metre."""
    coarse: float
    """Patches of about ten metres."""
    hue: float = 0.0
    """Drift from green to yellow-brown over patches."""
    rows: float = 0.0
    """Parallel crop or mowing rows."""


TEXTURES: dict[Material, Texture] = {
    Material.ASPHALT: Texture(fine=0.02, medium=0.02, coarse=0.06),
    Material.CONCRETE: Texture(fine=0.02, medium=0.03, coarse=0.07),
    Material.PAVING: Texture(fine=0.03, medium=0.035, coarse=0.06),
    Material.LAWN: Texture(fine=0.06, medium=0.10, coarse=0.11, hue=0.3, rows=0.02),
    Material.MEADOW: Texture(fine=0.08, medium=0.15, coarse=0.15, hue=0.45),
    Material.SOIL: Texture(fine=0.07, medium=0.08, coarse=0.10, hue=0.1, rows=0.08),
    Material.CROP: Texture(fine=0.07, medium=0.07, coarse=0.11, hue=0.15, rows=0.10),
    Material.GRAVEL: Texture(fine=0.10, medium=0.06, coarse=0.09),
    Material.SMOOTH: Texture(fine=0.015, medium=0.01, coarse=0.02),
}


def vary(rng: np.random.Generator, colour: Colour, brightness: float = 0.1, tint: float = 0.02) -> Colour:
    """Vary a colour in brightness and hue."""
    gain, *tints = rng.standard_normal(4).tolist()
    red, green, blue = (
        int(min(max(c * (1 + brightness * gain) * (1 + tint * t), 8), 247)) for c, t in zip(colour, tints, strict=True)
    )
    return red, green, blue


def scale(colour: Colour, factor: float) -> Colour:
    """Make a colour lighter or darker."""
    red, green, blue = (int(min(max(c * factor, 0), 255)) for c in colour)
    return red, green, blue


def weighted_choice(rng: np.random.Generator, weighted: dict[T, float]) -> T:
    """Draw one key by weight (`Generator.choice` takes twenty times as long)."""
    left = rng.random() * sum(weighted.values())
    for key, weight in weighted.items():
        left -= weight
        if left < 0:
            return key
    return key


def one_of(rng: np.random.Generator, choices: Sequence[T]) -> T:
    """Draw one of the choices, all equally likely."""
    return choices[int(rng.integers(len(choices)))]


ASPHALTS: tuple[Colour, ...] = ((112, 110, 112), (88, 88, 92), (128, 124, 122), (74, 75, 79), (104, 100, 96))
PAVEMENTS: tuple[Colour, ...] = ((150, 145, 138), (136, 132, 130), (162, 152, 142), (124, 122, 120), (158, 140, 128))
LAWNS: tuple[Colour, ...] = ((98, 106, 72), (86, 98, 68), (114, 114, 80), (90, 100, 74), (124, 118, 86))
CROPS: tuple[Colour, ...] = ((104, 118, 64), (168, 150, 98), (134, 128, 74), (86, 108, 60), (186, 168, 118))
SOILS: tuple[Colour, ...] = ((134, 112, 88), (112, 94, 76), (152, 132, 106))
GRAVELS: tuple[Colour, ...] = ((158, 150, 138), (140, 132, 122))
TREES: tuple[Colour, ...] = ((78, 92, 60), (68, 84, 58), (90, 100, 64), (82, 90, 68), (102, 102, 66), (62, 76, 58))
TILES: tuple[Colour, ...] = ((154, 92, 78), (136, 82, 72), (122, 88, 78), (98, 88, 84), (80, 80, 84), (162, 110, 90))
FLAT_ROOFS: tuple[Colour, ...] = ((136, 134, 132), (112, 112, 114), (164, 160, 154), (92, 92, 94), (184, 182, 178))
METAL_ROOFS: tuple[Colour, ...] = ((170, 174, 178), (128, 138, 146), (196, 196, 194), (110, 124, 118), (142, 96, 84))
FACADES: tuple[Colour, ...] = ((176, 168, 152), (152, 146, 138), (188, 180, 160), (134, 126, 120), (170, 140, 112))
MARKING: Colour = (214, 213, 208)
CONTAINERS: tuple[Colour, ...] = (
    (134, 62, 48), (52, 84, 118), (76, 104, 84), (176, 176, 172), (182, 120, 54), (92, 96, 100),
)  # fmt: skip

PAINTS: dict[Colour, float] = {
    (226, 227, 226): 27, (28, 29, 32): 17, (52, 55, 59): 9, (94, 97, 101): 8, (160, 163, 166): 14, (112, 115, 118): 6,
    (38, 54, 88): 6, (66, 98, 138): 2.5, (140, 32, 32): 5, (176, 44, 36): 2, (92, 78, 64): 2, (48, 70, 58): 1.5,
    (178, 168, 144): 1.5, (190, 164, 60): 0.25, (176, 92, 46): 0.25,
}  # fmt: skip
BUS_PAINTS: dict[Colour, float] = {
    (222, 222, 218): 4, (196, 168, 48): 2, (150, 40, 38): 2, (62, 96, 142): 2, (104, 140, 78): 1.2, (70, 74, 80): 1,
}  # fmt: skip
TRAILER_PAINTS: dict[Colour, float] = {
    (224, 224, 222): 6, (168, 170, 172): 2, (52, 84, 128): 1.5, (134, 44, 40): 1, (84, 92, 92): 1.5, (66, 104, 78): 1,
    (190, 150, 70): 0.5,
}  # fmt: skip
CLOTHES: dict[Colour, float] = {
    (34, 36, 42): 8, (62, 66, 74): 5, (44, 58, 92): 4, (206, 204, 200): 3.5, (128, 122, 116): 3, (136, 46, 44): 2,
    (176, 150, 112): 1.5, (74, 92, 70): 1.5, (192, 132, 140): 0.8, (196, 170, 60): 0.8,
}  # fmt: skip
