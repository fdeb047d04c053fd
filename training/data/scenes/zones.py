"""What may fill the land between the roads.

Every zone works on a block of the layout frame, knows the roads it may build along, and builds only on free ground.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from training.data.scenes.block import Block, Frontage
from training.data.scenes.lots import parking_lot, yard
from training.data.scenes.open_land import field_land, park, square, wood
from training.data.scenes.residential import flats, houses
from training.data.scenes.site import Site

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
