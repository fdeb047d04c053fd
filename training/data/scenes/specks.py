"""Specks: small objects that may be a car, a skylight, a vent or a boulder; only the surroundings tell which."""

from __future__ import annotations

import numpy as np

from tinydet.training.data.scenes.appearance import GLASS, Appearance, Layer, rounded
from tinydet.training.data.scenes.cars import SMALL_VEHICLE
from tinydet.training.data.scenes.geometry import box
from tinydet.training.data.scenes.palette import Colour, one_of, scale, vary, weighted_choice

_COLOURS: dict[Colour, float] = {
    (224, 225, 224): 28, (164, 166, 168): 16, (112, 114, 117): 10, (56, 58, 62): 10, (30, 31, 34): 14,
    (58, 76, 104): 8, (136, 62, 52): 6, (148, 134, 112): 8,
}  # fmt: skip
_CORNER_M = 0.5


def speck(rng: np.random.Generator) -> Appearance:
    """Draw a random speck: a low body with rounded corners, on most a dark pane, and on some of these a lid."""
    length_m = rng.uniform(3.7, 4.9)
    width_m = length_m * rng.uniform(0.40, 0.54)
    height_m = rng.uniform(1.2, 1.6)
    front, half = length_m / 2, width_m / 2
    colour = vary(rng, weighted_choice(rng, _COLOURS), 0.08, 0.015)
    top = rounded(-front + 0.1, front - 0.1, half * 0.92, half * 0.92, _CORNER_M)
    layers = [
        Layer(rounded(-front, front, half, half, _CORNER_M), 0.2, scale(colour, 0.45)),
        Layer(rounded(-front, front, half, half, _CORNER_M), 0.65 * height_m, scale(colour, 0.82)),
        Layer(top, 0.75 * height_m, colour, False),
    ]
    if rng.random() < 0.8:
        rear, ahead = front * rng.uniform(-0.85, -0.35), front * rng.uniform(0.25, 0.7)
        pane = scale(vary(rng, GLASS, 0.2), one_of(rng, [0.9, 1.3, 2.2]))
        layers.append(Layer(box(rear, -half * 0.74, ahead, half * 0.74), 0.8 * height_m, pane, False))
        if rng.random() < 0.7:
            lid = box(rear + 0.35, -half * 0.66, ahead - 0.55, half * 0.66)
            layers.append(Layer(lid, height_m, scale(colour, 1.04), False))
    return Appearance(class_id=SMALL_VEHICLE, layers=tuple(layers), length_m=length_m, width_m=width_m,
                      height_m=height_m)  # fmt: skip
