"""Cars and vans from above."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinydet.training.data.scenes.appearance import GLASS, Appearance, Layer, rounded, trapezium
from tinydet.training.data.scenes.geometry import box
from tinydet.training.data.scenes.palette import PAINTS, Colour, scale, vary, weighted_choice

SMALL_VEHICLE = 0


@dataclass(frozen=True, kw_only=True)
class CarShape:
    """Proportions of a car's plan view, as fractions of its length from the front."""

    length_m: tuple[float, float]
    width_m: tuple[float, float]
    height_m: float
    bonnet: float
    """Where the windscreen begins."""
    roof_front: float
    roof_rear: float
    glass_rear: float
    """Where the rear window ends."""
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


def lighten(colour: Colour, amount: int) -> Colour:
    """Add white light to a colour."""
    red, green, blue = (min(c + amount, 255) for c in colour)
    return red, green, blue


def car(rng: np.random.Generator) -> Appearance:
    """Draw a random car or van with bonnet, glass, roof, lamps and mirrors."""
    name = weighted_choice(rng, {name: shape.weight for name, shape in CAR_SHAPES.items()})
    shape = CAR_SHAPES[name]
    length_m, width_m = rng.uniform(*shape.length_m), rng.uniform(*shape.width_m)
    height_m = shape.height_m * rng.uniform(0.96, 1.05)
    is_van = name == "van"
    paint = (228, 228, 226) if is_van and rng.random() < 0.55 else weighted_choice(rng, PAINTS)
    paint = vary(rng, paint, 0.05, 0.012)
    half, front = width_m / 2, length_m / 2

    def at(fraction: float) -> float:
        return front - fraction * length_m

    jitter = rng.normal(0, 0.012, 4)
    bonnet, roof_front = at(shape.bonnet + jitter[0]), at(shape.roof_front + jitter[1])
    roof_rear, glass_rear = at(shape.roof_rear + jitter[2]), at(min(shape.glass_rear + jitter[3], 0.985))
    waist = 0.62 * height_m
    # The sky reflects in the windscreen: now dark, now as light as a dull day.
    glass = vary(rng, GLASS, 0.15)
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
        Layer(trapezium(glass_rear, roof_half, bonnet, waist_half * 0.92), waist + 0.02, glass, False),
        Layer(trapezium(roof_front - 0.05, roof_half * 0.96, bonnet, waist_half * 0.88), waist + 0.05, screen, False),
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
