"""Settings of scenes: avenue, town, suburb, ..."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A kind of place. A value is drawn uniformly from each (low, high), and from each tuple of choices."""

    weight: float
    """Relative frequency of the setting."""
    lanes: tuple[int, ...]
    """Choices: lanes in each direction of the main road."""
    side_roads: tuple[int, ...]
    """Choices: number of roads that cross the main road."""
    zones: dict[str, float]
    """Weights of the zones (`ZONES`) between the roads."""
    vehicles_per_km: tuple[float, float]
    """Vehicles on each lane."""
    large_share: float
    """Share of lorries and buses in moving traffic, 0-1."""
    parked_share: float
    """Share of the kerb taken by parked cars, 0-1."""
    pavement_m: tuple[float, float]
    """Width of the pavements."""
    speed_mps: tuple[float, float]
    """Speed of moving traffic."""
    curvature_per_m: float
    """Standard deviation of the main road's curvature."""
    walkers_per_100_m: float
    """People on each pavement."""
    median_m: tuple[float, ...] = (0.0,)
    """Choices: width of the strip between the directions."""
    car_px: tuple[float, float] = (11.0, 30.0)
    """Length of a car in the picture, which sets the flying height."""


SETTINGS: dict[str, Setting] = {
    "avenue": Setting(weight=3, lanes=(2, 3), median_m=(0.0, 0.0, 3.0, 6.0), side_roads=(1, 1, 2),
                      zones={"flats": 3, "square": 2, "park": 1, "parking": 1}, vehicles_per_km=(14, 45),
                      large_share=0.09, parked_share=0.7, pavement_m=(3.5, 7), speed_mps=(8, 14),
                      curvature_per_m=0.0006, walkers_per_100_m=9),
    "town": Setting(weight=3, lanes=(1, 1, 2), side_roads=(1, 2),
                    zones={"flats": 3, "houses": 2, "park": 1, "parking": 1.5, "square": 1}, vehicles_per_km=(10, 30),
                    large_share=0.08, parked_share=0.65, pavement_m=(2, 4), speed_mps=(7, 13), curvature_per_m=0.0015,
                    walkers_per_100_m=7),
    "suburb": Setting(weight=2, car_px=(9, 20), lanes=(1,), side_roads=(1, 2, 2),
                      zones={"houses": 6, "park": 1, "wood": 0.5}, vehicles_per_km=(10, 24), large_share=0.06,
                      parked_share=0.35, pavement_m=(1.5, 2.5), speed_mps=(6, 12), curvature_per_m=0.003,
                      walkers_per_100_m=4),
    "shops": Setting(weight=2.5, lanes=(1, 2), side_roads=(0, 1), zones={"parking": 6, "yard": 1, "park": 0.5},
                     vehicles_per_km=(10, 30), large_share=0.09, parked_share=0.2, pavement_m=(1.5, 3),
                     speed_mps=(8, 14), curvature_per_m=0.001, walkers_per_100_m=4),
    "works": Setting(weight=2, lanes=(1, 2), side_roads=(0, 1),
                     zones={"yard": 5, "parking": 1.5, "field": 0.7, "wood": 0.5}, vehicles_per_km=(8, 25),
                     large_share=0.35, parked_share=0.25, pavement_m=(0, 2), speed_mps=(8, 16), curvature_per_m=0.001,
                     walkers_per_100_m=3),
    "park": Setting(weight=1.5, lanes=(1,), side_roads=(0, 1), zones={"park": 5, "square": 2.5},
                    vehicles_per_km=(8, 22), large_share=0.06, parked_share=0.5, pavement_m=(2.5, 4),
                    speed_mps=(7, 12), curvature_per_m=0.002, walkers_per_100_m=12),
    "country": Setting(weight=0.9, car_px=(9, 15), lanes=(1, 1, 2), side_roads=(0, 1),
                       zones={"field": 4, "wood": 1.5, "houses": 1, "yard": 0.4}, vehicles_per_km=(25, 55),
                       large_share=0.2, parked_share=0.0, pavement_m=(0, 0), speed_mps=(17, 25),
                       curvature_per_m=0.0025, walkers_per_100_m=1),
    "highway": Setting(weight=1.5, car_px=(9, 18), lanes=(2, 3), median_m=(3.0, 5.0), side_roads=(0,),
                       zones={"field": 3, "wood": 2, "parking": 1.5, "yard": 1.5}, vehicles_per_km=(25, 50),
                       large_share=0.22, parked_share=0.0, pavement_m=(0, 0), speed_mps=(22, 33),
                       curvature_per_m=0.0008, walkers_per_100_m=0),
}  # fmt: skip
