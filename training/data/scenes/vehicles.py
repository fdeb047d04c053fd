"""Vehicles seen from above: outlines by height, from the tyres up to the roof.

Local frame: x forward, y to the right, metres, origin in the middle of the vehicle. Each `Layer` is drawn at its
height, so that a tilted camera shows a strip of the side, as it does in photographs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from training.data.scenes.geometry import Points, box, ellipse
from training.data.scenes.palette import (
    BUS_PAINTS,
    PAINTS,
    TRAILER_PAINTS,
    Colour,
    choose,
    one_of,
    scale,
    vary,
    weighted_choice,
)

SMALL_VEHICLE, LARGE_VEHICLE = 0, 1


@dataclass(frozen=True, eq=False)
class Layer:
    """One flat part of an object at one height."""

    outline_m: Points
    height_m: float
    colour: Colour
    is_body: bool = True
    """False for thin details, which do not widen the box"""


@dataclass(frozen=True, kw_only=True, eq=False)
class Appearance:
    """How an object looks: its parts from low to high, and the solid that casts its shadow."""

    class_id: int
    layers: tuple[Layer, ...]
    length_m: float
    width_m: float
    height_m: float

    @cached_property
    def outlines_m(self) -> list[Points]:
        return [layer.outline_m for layer in self.layers]

    @cached_property
    def points_m(self) -> Points:
        """The vertices of all layers, (P, 2)."""
        return np.concatenate(self.outlines_m)

    @cached_property
    def heights_m(self) -> Points:
        """The height of every vertex, (P,)."""
        return np.repeat([layer.height_m for layer in self.layers], [len(o) for o in self.outlines_m])

    @cached_property
    def is_body(self) -> npt.NDArray[np.bool_]:
        """Which vertices count for the box, (P,)."""
        return np.repeat([layer.is_body for layer in self.layers], [len(o) for o in self.outlines_m])


@dataclass(frozen=True, kw_only=True)
class CarShape:
    """Proportions of a car's plan view, as fractions of its length from the front."""

    length_m: tuple[float, float]
    width_m: tuple[float, float]
    height_m: float
    bonnet: float
    """where the windscreen begins"""
    roof_front: float
    roof_rear: float
    glass_rear: float
    """where the rear window ends"""
    weight: float


CAR_SHAPES: dict[str, CarShape] = {
    "hatchback": CarShape(length_m=(3.7, 4.3), width_m=(1.68, 1.8), height_m=1.48, bonnet=0.24, roof_front=0.40,
                          roof_rear=0.84, glass_rear=0.95, weight=26),
    "saloon": CarShape(length_m=(4.4, 4.95), width_m=(1.76, 1.88), height_m=1.44, bonnet=0.27, roof_front=0.42,
                       roof_rear=0.69, glass_rear=0.82, weight=24),
    "estate": CarShape(length_m=(4.4, 4.9), width_m=(1.76, 1.88), height_m=1.50, bonnet=0.25, roof_front=0.40,
                       roof_rear=0.89, glass_rear=0.96, weight=16),
    "suv": CarShape(length_m=(4.3, 4.9), width_m=(1.82, 1.98), height_m=1.70, bonnet=0.24, roof_front=0.37,
                    roof_rear=0.89, glass_rear=0.96, weight=22),
    "pickup": CarShape(length_m=(5.0, 5.4), width_m=(1.84, 1.95), height_m=1.78, bonnet=0.24, roof_front=0.35,
                       roof_rear=0.55, glass_rear=0.58, weight=3),
    "van": CarShape(length_m=(4.6, 5.9), width_m=(1.86, 2.05), height_m=2.2, bonnet=0.12, roof_front=0.23,
                    roof_rear=0.985, glass_rear=0.99, weight=11),
}  # fmt: skip

_GLASS: Colour = (42, 47, 54)
_TYRES: Colour = (24, 24, 26)


def rounded(x0: float, x1: float, half_front: float, half_rear: float, radius: float) -> Points:
    """A body's plan: front (x1) and rear (x0) half widths, corners rounded off."""
    radius = min(radius, half_front * 0.95, half_rear * 0.95)
    cut = 0.32 * radius
    return np.array([
        [x1, half_front - radius], [x1 - cut, half_front - cut], [x1 - radius, half_front],
        [x0 + radius, half_rear], [x0 + cut, half_rear - cut], [x0, half_rear - radius],
        [x0, radius - half_rear], [x0 + cut, cut - half_rear], [x0 + radius, -half_rear],
        [x1 - radius, -half_front], [x1 - cut, cut - half_front], [x1, radius - half_front],
    ])  # fmt: skip


def lighten(colour: Colour, amount: int) -> Colour:
    """The colour with white light added."""
    red, green, blue = (min(c + amount, 255) for c in colour)
    return red, green, blue


def _trapezium(x0: float, half0: float, x1: float, half1: float) -> Points:
    return np.array([[x0, -half0], [x1, -half1], [x1, half1], [x0, half0]])


def car(rng: np.random.Generator) -> Appearance:
    """A car or van with its bonnet, glass, roof, lamps and mirrors."""
    name = weighted_choice(rng, {name: shape.weight for name, shape in CAR_SHAPES.items()})
    shape = CAR_SHAPES[name]
    length_m, width_m = rng.uniform(*shape.length_m), rng.uniform(*shape.width_m)
    height_m = shape.height_m * rng.uniform(0.96, 1.05)
    is_van = name == "van"
    paint = (228, 228, 226) if is_van and rng.random() < 0.55 else choose(rng, PAINTS)
    paint = vary(rng, paint, 0.05, 0.012)
    half, front = width_m / 2, length_m / 2

    def at(fraction: float) -> float:
        return front - fraction * length_m

    jitter = rng.normal(0, 0.012, 4)
    bonnet, roof_front = at(shape.bonnet + jitter[0]), at(shape.roof_front + jitter[1])
    roof_rear, glass_rear = at(shape.roof_rear + jitter[2]), at(min(shape.glass_rear + jitter[3], 0.985))
    waist = 0.62 * height_m
    # The sky reflects in the windscreen: now dark, now as light as a dull day.
    glass = vary(rng, _GLASS, 0.15)
    is_dark = sum(paint) < 330
    screen = scale(
        glass, weighted_choice(rng, {1.9: 0.5, 2.5: 0.3, 0.8: 0.2} if is_dark else {1.0: 0.5, 0.7: 0.3, 1.7: 0.2})
    )
    roof_half, waist_half = half * (0.91 if is_van else 0.80), half * 0.93
    # Polished dark panels mirror the sky.
    sheen = int(rng.uniform(8, 30)) if is_dark else 0
    roof = lighten(scale(paint, rng.uniform(1.0, 1.07)), sheen)
    if not is_van and rng.random() < 0.12:
        roof = vary(rng, (30, 31, 34), 0.2)
    layers = [
        Layer(rounded(-front, front, half * 0.94, half * 0.97, 0.55), 0.25, scale(paint, 0.42)),
        Layer(rounded(-front, front, half * 0.94, half, 0.55), waist * 0.75, scale(paint, 0.82)),
        Layer(rounded(-front + 0.1, front - 0.14, half * 0.86, half * 0.90, 0.5), waist, lighten(paint, sheen // 2)),
        Layer(box(bonnet - 0.05, -half * 0.05, front - 0.35, half * 0.05), waist + 0.03, scale(paint, 1.06), False),
        Layer(_trapezium(glass_rear, roof_half, bonnet, waist_half * 0.92), waist + 0.02, glass, False),
        Layer(_trapezium(roof_front - 0.05, roof_half * 0.96, bonnet, waist_half * 0.88), waist + 0.05, screen, False),
        Layer(rounded(roof_rear, roof_front, roof_half * 0.9, roof_half * 0.94, 0.22), height_m, roof, False),
    ]
    if rng.random() < 0.2 and not is_van:  # a glass sunroof
        middle = 0.65 * roof_front + 0.35 * roof_rear
        sunroof = box(middle - 0.4, -roof_half * 0.55, middle + 0.25, roof_half * 0.55)
        layers.append(Layer(sunroof, height_m, glass, False))
    if name == "pickup":
        bed = box(-front + 0.2, -half * 0.8, roof_rear - 0.15, half * 0.8)
        layers.append(Layer(bed, waist, scale(paint, 0.35), False))
    for side in (-1, 1):
        lamp = box(front - 0.42, side * half * 0.62 - 0.17, front - 0.14, side * half * 0.62 + 0.17)
        tail = box(-front + 0.06, side * half * 0.72 - 0.16, -front + 0.26, side * half * 0.72 + 0.16)
        mirror = box(bonnet - 0.38, side * half * 1.04 - 0.11, bonnet - 0.18, side * half * 1.04 + 0.11)
        layers += [
            Layer(lamp, waist * 0.9, (176, 180, 184), False),
            Layer(tail, waist * 0.95, (120, 28, 26), False),
            Layer(mirror, waist, scale(paint, 0.7), False),
        ]
    return Appearance(class_id=SMALL_VEHICLE, layers=tuple(layers), length_m=length_m, width_m=width_m,
                      height_m=height_m)  # fmt: skip


def _cab(front: float, half: float, paint: Colour, length_m: float = 2.1) -> list[Layer]:
    rear = front - length_m
    return [
        Layer(rounded(rear, front, half * 0.96, half * 0.96, 0.3), 1.2, scale(paint, 0.6)),
        Layer(_trapezium(front - 0.55, half * 0.9, front - 0.06, half * 0.93), 2.2, _GLASS, False),
        Layer(rounded(rear, front - 0.42, half * 0.9, half * 0.94, 0.25), 2.9, paint),
        Layer(box(rear + 0.25, -half * 0.6, rear + 0.8, half * 0.6), 3.2, scale(paint, 0.9), False),
    ]


def _cargo(rng: np.random.Generator, rear: float, front: float, half: float, height_m: float) -> list[Layer]:
    """What a lorry carries: a box or curtain-sider, an open skip with a load, or a flat bed with crates."""
    paint = vary(rng, choose(rng, TRAILER_PAINTS), 0.06)
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
    """A rigid lorry or a tractor with its trailer."""
    is_articulated = rng.random() < 0.45
    length_m = rng.uniform(14.0, 16.5) if is_articulated else rng.uniform(6.8, 10.0)
    width_m, height_m = 2.5, rng.uniform(3.3, 3.9)
    front, half = length_m / 2, width_m / 2
    paint = vary(rng, choose(rng, PAINTS), 0.05)
    gap_m = 0.9 if is_articulated else 0.25
    layers = [Layer(box(-front + 0.4, -half * 0.7, front - 1.0, half * 0.7), 0.9, (48, 48, 50))]
    layers += _cargo(rng, -front, front - 2.1 - gap_m, half, height_m) + _cab(front, half, paint)
    return Appearance(class_id=LARGE_VEHICLE, layers=tuple(layers), length_m=length_m, width_m=width_m,
                      height_m=height_m)  # fmt: skip


def bus(rng: np.random.Generator) -> Appearance:
    """A city bus or coach; some long ones with a bellows in the middle."""
    is_articulated = rng.random() < 0.2
    length_m = rng.uniform(17.5, 18.5) if is_articulated else rng.uniform(9.5, 13.0)
    width_m, height_m = 2.55, 3.1
    front, half = length_m / 2, width_m / 2
    paint = vary(rng, choose(rng, BUS_PAINTS), 0.05)
    roof = paint if rng.random() < 0.6 else vary(rng, (206, 206, 202), 0.05)
    outline = rounded(-front, front, half, half, 0.35)
    layers = [
        Layer(outline, 0.8, scale(paint, 0.55)),
        Layer(outline, 2.2, _GLASS),
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
