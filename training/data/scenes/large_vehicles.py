"""Lorries and buses from above."""

from __future__ import annotations

import numpy as np

from tinydet.training.data.scenes.appearance import GLASS, Appearance, Layer, rounded, trapezium
from tinydet.training.data.scenes.geometry import box, ellipse
from tinydet.training.data.scenes.palette import (
    BUS_PAINTS,
    PAINTS,
    TRAILER_PAINTS,
    Colour,
    one_of,
    scale,
    vary,
    weighted_choice,
)

LARGE_VEHICLE = 1


def _cab(front: float, half: float, paint: Colour, length_m: float = 2.1) -> list[Layer]:
    rear = front - length_m
    return [
        Layer(rounded(rear, front, half * 0.96, half * 0.96, 0.3), 1.2, scale(paint, 0.6)),
        Layer(trapezium(front - 0.55, half * 0.9, front - 0.06, half * 0.93), 2.2, GLASS, False),
        Layer(rounded(rear, front - 0.42, half * 0.9, half * 0.94, 0.25), 2.9, paint),
        Layer(box(rear + 0.25, -half * 0.6, rear + 0.8, half * 0.6), 3.2, scale(paint, 0.9), False),
    ]


def _cargo(rng: np.random.Generator, rear: float, front: float, half: float, height_m: float) -> list[Layer]:
    """Cargo of a lorry: a box or curtain-sider, a tank, an open skip with a load, or a flat bed with crates."""
    paint = vary(rng, weighted_choice(rng, TRAILER_PAINTS), 0.06)
    outline = box(rear, -half, front, half)
    kind = weighted_choice(rng, {"box": 0.62, "tipper": 0.17, "flat": 0.12, "tank": 0.09})
    if kind == "box":
        layers = [Layer(outline, 1.1, scale(paint, 0.5)), Layer(outline, height_m, paint)]
        rib_step_m = rng.uniform(1.2, 3.0)
        layers += [
            Layer(box(x, -half * 0.96, x + 0.1, half * 0.96), height_m, scale(paint, 0.9), False)
            for x in np.arange(rear + rib_step_m, front - 0.5, rib_step_m)
        ]
        return layers
    if kind == "tank":
        tank = rounded(rear + 0.1, front - 0.1, half * 0.92, half * 0.92, 0.7)
        stripe = box(rear + 0.5, -half * 0.35, front - 0.5, half * 0.2)
        return [
            Layer(outline, 1.1, (56, 58, 60)),
            Layer(tank, 2.6, scale(paint, 0.8)),
            Layer(stripe, 3.2, scale(paint, 1.12), False),
        ]
    inner = box(rear + 0.15, -half * 0.88, front - 0.15, half * 0.88)
    bed = vary(rng, (104, 94, 82), 0.25) if kind == "tipper" else vary(rng, (92, 84, 76), 0.1)
    layers = [Layer(outline, 1.4, scale(paint, 0.75)), Layer(inner, 1.3, bed, False)]
    if kind == "tipper":
        layers.append(Layer(ellipse(((rear + front) / 2, 0), 0, (front - rear) * 0.7, half * 1.2), 1.8,
                            scale(bed, 1.15), False))  # fmt: skip
        return layers
    for x in np.arange(rear + 0.5, front - 1.5, 1.7):
        if rng.random() < 0.6:
            crate = box(x, -half * rng.uniform(0.5, 0.8), x + 1.4, half * rng.uniform(0.5, 0.8))
            layers.append(Layer(crate, 2.0, vary(rng, (150, 122, 88), 0.2), False))
    return layers


def lorry(rng: np.random.Generator) -> Appearance:
    """Draw a random rigid lorry, or tractor with trailer."""
    is_articulated = rng.random() < 0.45
    length_m = rng.uniform(14.0, 16.5) if is_articulated else rng.uniform(6.8, 10.0)
    width_m, height_m = 2.5, rng.uniform(3.3, 3.9)
    front, half = length_m / 2, width_m / 2
    paint = vary(rng, weighted_choice(rng, PAINTS), 0.05)
    gap_m = 0.9 if is_articulated else 0.25
    layers = [Layer(box(-front + 0.4, -half * 0.7, front - 1.0, half * 0.7), 0.9, (48, 48, 50))]
    layers += _cargo(rng, -front, front - 2.1 - gap_m, half, height_m) + _cab(front, half, paint)
    return Appearance(class_id=LARGE_VEHICLE, layers=tuple(layers), length_m=length_m, width_m=width_m,
                      height_m=height_m)  # fmt: skip


def bus(rng: np.random.Generator) -> Appearance:
    """Draw a random city bus or coach, some long and with a bellows in the middle."""
    is_articulated = rng.random() < 0.2
    length_m = rng.uniform(17.5, 18.5) if is_articulated else rng.uniform(9.5, 13.0)
    width_m, height_m = 2.55, 3.1
    front, half = length_m / 2, width_m / 2
    paint = vary(rng, weighted_choice(rng, BUS_PAINTS), 0.05)
    roof = paint if rng.random() < 0.6 else vary(rng, (206, 206, 202), 0.05)
    outline = rounded(-front, front, half, half, 0.35)
    layers = [
        Layer(outline, 0.8, scale(paint, 0.55)),
        Layer(outline, 2.2, GLASS),
        Layer(rounded(-front + 0.08, front - 0.3, half * 0.96, half * 0.97, 0.3), height_m, roof),
        Layer(box(-front + 0.5, -half * 0.7, front - 0.6, -half * 0.62), height_m, scale(roof, 0.9), False),
        Layer(box(-front + 0.5, half * 0.62, front - 0.6, half * 0.7), height_m, scale(roof, 0.9), False),
    ]
    if is_articulated:
        layers.append(Layer(box(-1.2, -half * 0.97, 0.2, half * 0.97), height_m, (74, 72, 72), False))
    for x in np.arange(-front + 1.6, front - 2, rng.uniform(2.6, 4.2)):
        size_m = rng.uniform(0.35, 0.9)
        if rng.random() < 0.7:
            hatch = box(x, -half * 0.45, x + size_m * 1.3, half * 0.45 - 0.2 * size_m)
            layers.append(Layer(hatch, height_m + 0.2, scale(roof, one_of(rng, [0.7, 0.85, 1.12])), False))
    return Appearance(class_id=LARGE_VEHICLE, layers=tuple(layers), length_m=length_m, width_m=width_m,
                      height_m=height_m)  # fmt: skip
