"""People seen from above: feet, shoulders, arms and head, a few pixels in all."""

from __future__ import annotations

import numpy as np

from tinydet.training.data.scenes.appearance import Appearance, Layer
from tinydet.training.data.scenes.geometry import box, ellipse
from tinydet.training.data.scenes.palette import CLOTHES, Colour, one_of, scale, vary, weighted_choice

PERSON = 2
_HAIR: tuple[Colour, ...] = (
    (36, 30, 28), (62, 48, 38), (104, 82, 58), (150, 128, 92), (128, 126, 124), (196, 190, 180),
)  # fmt: skip


def person(rng: np.random.Generator, *, is_walking: bool = True) -> Appearance:
    """Draw a random person, walking (mid-stride) or standing, some with a bag; they face along local x."""
    height_m = rng.normal(1.72, 0.09)
    shoulders_m = rng.uniform(0.50, 0.62)
    clothes, trousers = vary(rng, weighted_choice(rng, CLOTHES), 0.08), vary(rng, weighted_choice(rng, CLOTHES), 0.08)
    trousers = scale(trousers, 0.8)
    stride_m = rng.uniform(0.25, 0.42) if is_walking else 0.06
    side = one_of(rng, [-1, 1])
    layers = [
        Layer(ellipse((stride_m, side * 0.11), 0, 0.34, 0.16, 8), 0.1, scale(trousers, 0.7)),
        Layer(ellipse((-stride_m, -side * 0.11), 0, 0.34, 0.16, 8), 0.1, scale(trousers, 0.7)),
        Layer(ellipse((0, 0), 0, 0.3 + stride_m, 0.34, 10), 0.8, trousers),
        Layer(ellipse((0, 0), 0, 0.34, shoulders_m, 12), height_m * 0.78, clothes),
        Layer(ellipse((side * 0.14, shoulders_m * 0.46), 0, 0.3, 0.15, 8), height_m * 0.68, scale(clothes, 0.9)),
        Layer(ellipse((-side * 0.14, -shoulders_m * 0.46), 0, 0.3, 0.15, 8), height_m * 0.68, scale(clothes, 0.9)),
    ]
    if rng.random() < 0.25:
        layers.append(
            Layer(box(-0.34, -0.16, -0.1, 0.16), height_m * 0.75, vary(rng, weighted_choice(rng, CLOTHES), 0.1))
        )
    hair = vary(rng, one_of(rng, _HAIR), 0.1)
    layers.append(Layer(ellipse((0.03, 0), 0, 0.25, 0.21, 10), height_m, hair))
    return Appearance(class_id=PERSON, layers=tuple(layers), length_m=0.5, width_m=shoulders_m, height_m=height_m)
