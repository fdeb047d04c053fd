"""Zones that fill the land between the roads.

Every zone works on a block of the layout frame, knows the roads it may build along, and builds only on free ground.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinydet.training.data.scenes.block import Block, Frontage
from tinydet.training.data.scenes.lots import parking_lot, yard
from tinydet.training.data.scenes.open_land import field_land, park, square, wood
from tinydet.training.data.scenes.residential import flats, houses
from tinydet.training.data.scenes.site import Site

Zone = Callable[[Site, np.random.Generator, Block, list[Frontage]], None]

ZONES: dict[str, Zone] = {
    "parking": parking_lot,
    "houses": houses,
    "flats": flats,
    "park": park,
    "square": square,
    "field": field_land,
    "yard": yard,
    "wood": wood,
}
