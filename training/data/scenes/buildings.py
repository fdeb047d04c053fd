"""Houses: walls, roofs and roof furniture as flat facets with heights."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tinydet.training.data.scenes.geometry import Points, box, place, split
from tinydet.training.data.scenes.palette import FACADES, FLAT_ROOFS, METAL_ROOFS, TILES, Colour, one_of, scale, vary
from tinydet.training.data.scenes.site import Building, Site

Corners = list[tuple[float, float]] | Points


@dataclass(frozen=True, eq=False)
class Facet:
    """A flat part of a house: its outline on the ground plane, the height of each vertex, its shaded colour."""

    outline_m: Points
    heights_m: Points
    colour: Colour


@dataclass(frozen=True, eq=False)
class Sunshine:
    """Direction and strength of the sunlight."""

    to_sun: Points
    """Unit vector (x, y, up) in the layout frame."""
    direct: float
    """Share of the sun in the light on flat ground, 0 under clouds."""


def build(
    site: Site,
    rng: np.random.Generator,
    centre_m: Points,
    heading_rad: float,
    size_m: tuple[float, float, float],
    roof: str,
) -> bool:
    """Build a house of (length, width, height) if there is room; returns whether there was."""
    length_m, width_m, height_m = size_m
    if not site.is_free(centre_m, heading_rad, length_m + 1.5, width_m + 1.5):
        return False
    colours = {"flat": FLAT_ROOFS, "metal": METAL_ROOFS}.get(roof, TILES)
    site.buildings.append(
        Building(
            centre_m=np.asarray(centre_m, np.float64),
            heading_rad=heading_rad,
            length_m=length_m,
            width_m=width_m,
            height_m=height_m,
            roof=roof,
            roof_colour=vary(rng, one_of(rng, colours), 0.07, 0.02),
            facade_colour=vary(rng, one_of(rng, FACADES), 0.08),
            detail_seed=int(rng.integers(2**31)),
        )
    )
    site.take(place(box(-length_m / 2, -width_m / 2, length_m / 2, width_m / 2), centre_m, heading_rad))
    return True


def shadow_prisms(house: Building) -> list[tuple[Points, float]]:
    """Solids (outline, height) that cast the house's shadow."""
    a, b = house.length_m / 2, house.width_m / 2
    prisms = [(place(box(-a, -b, a, b), house.centre_m, house.heading_rad), house.height_m)]
    if house.roof in ("gable", "hip"):
        inset = b * 0.9 if house.roof == "hip" else 0.0
        ridge = box(-a + inset, -0.05, a - inset, 0.05)
        prisms.append((place(ridge, house.centre_m, house.heading_rad), house.height_m + _rise_m(house)))
    return prisms


def facets(house: Building, sunshine: Sunshine, lean_m_per_m: Points, gsd_m: float) -> list[Facet]:
    """List the visible facets of a house in drawing order, from low to high."""
    drawing = _Drawing(house, sunshine, np.random.default_rng(house.detail_seed))
    drawing.walls(lean_m_per_m, has_windows=float(np.hypot(*lean_m_per_m)) > 1.2 * gsd_m / 1.4)
    if house.roof in ("flat", "metal"):
        drawing.flat_roof()
    else:
        drawing.pitched_roof()
    corners = place(np.concatenate([part.outline_m for part in drawing.parts]), house.centre_m, house.heading_rad)
    outlines_m = split(corners, [part.outline_m for part in drawing.parts])
    return [Facet(outline_m, part.heights_m, part.colour)
            for outline_m, part in zip(outlines_m, drawing.parts, strict=True)]  # fmt: skip


def _rise_m(house: Building) -> float:
    return 0.36 * house.width_m


@dataclass(eq=False)
class _Drawing:
    house: Building
    sunshine: Sunshine
    rng: np.random.Generator
    parts: list[Facet] = field(default_factory=list)

    def add(self, corners: Corners, heights_m: list[float], colour: Colour) -> None:
        self.parts.append(Facet(np.array(corners, np.float64), np.array(heights_m, np.float64), colour))

    def lit(self, colour: Colour, x: float, y: float, up: float) -> Colour:
        """Shade a plane with this normal (Lambert), relative to flat ground."""
        flat = place(np.array([[x, y]]), (0, 0), self.house.heading_rad)[0]
        normal = np.array([flat[0], flat[1], up]) / np.sqrt(x * x + y * y + up * up)
        to_sun, direct = self.sunshine.to_sun, self.sunshine.direct
        ratio = (1 - direct) * (0.55 + 0.45 * normal[2]) + direct * max(float(normal @ to_sun), 0) / max(to_sun[2], 0.2)
        return scale(colour, float(np.clip(ratio, 0.15, 1.5)) ** 0.4545)

    def walls(self, lean_m_per_m: Points, *, has_windows: bool) -> None:
        """Add the walls that face the camera, with windows if these are a pixel high."""
        lean = place(lean_m_per_m[None], (0, 0), -self.house.heading_rad)[0]
        a, b, h = self.house.length_m / 2, self.house.width_m / 2, self.house.height_m
        corners: Corners = [(-a, -b), (a, -b), (a, b), (-a, b)]
        for side, (x, y) in enumerate([(0, -1), (1, 0), (0, 1), (-1, 0)]):
            if x * lean[0] + y * lean[1] >= 0:
                continue
            p, q = corners[side], corners[(side + 1) % 4]
            wall = self.lit(self.house.facade_colour, x, y, 0.0)
            self.add([p, q, q, p], [0, 0, h, h], wall)
            if not has_windows:
                continue
            length_m = float(np.hypot(q[0] - p[0], q[1] - p[1]))
            for floor_m in np.arange(1.2, h - 1.4, 3.0):
                for at_m in np.arange(1.2, length_m - 1.6, 2.6):
                    u, v = ((p[0] + (q[0] - p[0]) * t, p[1] + (q[1] - p[1]) * t)
                            for t in (at_m / length_m, (at_m + 1.2) / length_m))  # fmt: skip
                    self.add([u, v, v, u], [floor_m, floor_m, floor_m + 1.4, floor_m + 1.4], scale(wall, 0.55))

    def solid(self, x: float, y: float, length_m: float, width_m: float, base_m: float, top_m: float,
              colour: Colour) -> None:  # fmt: skip
        """Add a small block on a roof, with its shadow."""
        to_sun = self.sunshine.to_sun
        if self.sunshine.direct > 0.2:
            away = place(-to_sun[None, :2] / max(to_sun[2], 0.3), (0, 0), -self.house.heading_rad)[0]
            dx, dy = away * min(top_m - base_m, 1.5)
            x0, y0, x1, y1 = x - length_m / 2, y - width_m / 2, x + length_m / 2, y + width_m / 2
            hull = [(x0 + min(dx, 0), y0 + min(dy, 0)), (x1 + max(dx, 0), y0 + min(dy, 0)),
                    (x1 + max(dx, 0), y1 + max(dy, 0)), (x0 + min(dx, 0), y1 + max(dy, 0))]  # fmt: skip
            self.add(hull, [base_m] * 4, scale(self.house.roof_colour, 0.6))
        outline = box(x - length_m / 2, y - width_m / 2, x + length_m / 2, y + width_m / 2)
        for height_m in np.linspace(base_m, top_m, 3)[:-1]:
            self.add(outline, [height_m] * 4, scale(colour, 0.6))
        self.add(outline, [top_m] * 4, colour)

    def flat_roof(self) -> None:
        """Add a parapet around gravel, felt or sheet metal, with machines, hatches, skylights and seams."""
        house, rng = self.house, self.rng
        a, b, h = house.length_m / 2, house.width_m / 2, house.height_m
        self.add(box(-a, -b, a, b), [h] * 4, scale(house.roof_colour, one_of(rng, [0.8, 1.18])))
        self.add(box(-a + 0.45, -b + 0.45, a - 0.45, b - 0.45), [h - 0.3] * 4, house.roof_colour)
        if house.roof == "metal":
            step_m = rng.uniform(2.0, 5.0)
            for x in np.arange(-a + step_m, a - 1, step_m):
                self.add(box(x, -b + 0.5, x + 0.25, b - 0.5), [h] * 4, scale(house.roof_colour, 0.9))
            if rng.random() < 0.5:
                for x in np.arange(-a + 4, a - 6, 9.0):
                    for y in np.arange(-b + 4, b - 4, 8.0):
                        self.add(box(x, y, x + 3.2, y + 1.3), [h] * 4, (198, 204, 208))
        for _ in range(min(int(house.length_m * house.width_m / 45), 26)):
            x, y = rng.uniform(-a + 1.5, a - 1.5), rng.uniform(-b + 1.5, b - 1.5)
            kind = rng.random()
            if kind < 0.45:
                size_m = rng.uniform(0.5, 1.2)
                self.solid(x, y, size_m, size_m, h - 0.3, h + 0.5, vary(rng, (160, 160, 160), 0.25))
            elif kind < 0.75 and abs(x) < a - 3 and abs(y) < b - 3:
                self.solid(x, y, rng.uniform(1.5, 4.2), rng.uniform(1.2, 2.4), h - 0.3, h + rng.uniform(0.8, 2.2),
                           vary(rng, (176, 176, 172), 0.18))  # fmt: skip
            else:
                self.add(
                    box(x - 1.4, y - 1.0, x + rng.uniform(0, 1.4), y + 1.0),
                    [h - 0.3] * 4,
                    vary(rng, house.roof_colour, 0.08),
                )

    def pitched_roof(self) -> None:
        """Add two or four tiled planes with ridge, chimneys, roof windows and sometimes solar panels."""
        house, rng = self.house, self.rng
        a, b, h = house.length_m / 2 + 0.3, house.width_m / 2 + 0.3, house.height_m
        top_m = h + _rise_m(house)
        inset = b * 0.9 if house.roof == "hip" else 0.0
        slope = (top_m - h) / b
        for side in (-1, 1):
            plane = self.lit(house.roof_colour, 0, side * slope, 1.0)
            self.add([(-a, side * b), (a, side * b), (a - inset, 0), (-a + inset, 0)], [h, h, top_m, top_m], plane)
            for t in np.arange(0.14, 0.95, 0.14):  # courses of tiles, weathered differently
                x, y, z = a - inset * t, side * b * (1 - t), h + (top_m - h) * t
                self.add([(-x, y), (x, y), (x, y * 0.985 - side * 0.05), (-x, y * 0.985 - side * 0.05)], [z] * 4,
                         scale(plane, rng.uniform(0.88, 1.0)))  # fmt: skip
            self._roof_windows(side, a - inset, b, h, top_m, plane)
            if inset:
                end = self.lit(house.roof_colour, side * slope, 0, 1.0)
                self.add([(side * a, -b), (side * a, b), (side * (a - inset), 0)], [h, h, top_m], end)
        self.add([(-a + inset, -0.14), (a - inset, -0.14), (a - inset, 0.14), (-a + inset, 0.14)], [top_m] * 4,
                 scale(house.roof_colour, 1.1))  # fmt: skip
        for _ in range(1 + int(house.length_m / 14)):
            x, y = rng.uniform(-1, 1) * max(a - inset - 0.8, 0), rng.uniform(-0.25, 0.25) * b
            self.solid(x, y, 0.9, 0.6, top_m - 0.4, top_m + 0.7, vary(rng, (150, 120, 106), 0.15))

    def _roof_windows(self, side: int, reach: float, b: float, h: float, top_m: float, plane: Colour) -> None:
        rng = self.rng

        def quad(x0: float, x1: float, t0: float, t1: float, colour: Colour) -> None:
            y0, y1 = side * b * (1 - t0), side * b * (1 - t1)
            z0, z1 = h + (top_m - h) * t0, h + (top_m - h) * t1
            self.add([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], [z0, z0, z1, z1], colour)

        kind = rng.random()
        if kind < 0.18 and reach > 4:  # solar panels
            x0, columns = rng.uniform(-reach + 0.8, 0), int(rng.integers(2, 5))
            for column in range(columns):
                for t in (0.3, 0.55):
                    quad(x0 + column * 1.15, x0 + column * 1.15 + 1.05, t, t + 0.22, (38, 46, 68))
        elif kind < 0.75:
            step_m, t = rng.uniform(2.4, 5.0), rng.uniform(0.3, 0.5)
            glass = vary(rng, (92, 104, 116), 0.3)
            for x in np.arange(-reach + 1.4, reach - 1.6, step_m):
                if rng.random() < 0.75:
                    quad(x - 0.12, x + 0.92, t - 0.04, t + 0.27, scale(plane, 0.7))
                    quad(x, x + 0.8, t, t + 0.22, glass)
