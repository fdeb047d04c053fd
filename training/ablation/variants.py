"""Detectors that an ablation compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinydet.edge.errors import InputError
from tinydet.edge.files.printable import shown
from tinydet.training.model.config import Fbsm
from tinydet.training.recipes.recipe import Balance


@dataclass(frozen=True, kw_only=True)
class Variant:
    """name: shown in the report. slug: name of its folders. settings: fields of the recipe, as for `--set`."""

    name: str
    slug: str
    settings: tuple[str, ...]


def _variant(
    name: str,
    slug: str,
    *,
    neck: str = "efpn-bs",
    cem: bool = True,
    fbsm: Fbsm = "gate",
    balance: Balance = "object",
    nwd: bool = True,
    by_size: float = 1.0,
) -> Variant:
    fields = {"model.neck": neck, "model.cem": cem, "model.fbsm": fbsm}
    fields |= {"loss.balance": balance, "loss.nwd": nwd, "loss.by_size": by_size}
    settings = tuple(f"{field}={str(value).lower()}" for field, value in fields.items())
    return Variant(name=name, slug=slug, settings=settings)


# Each row of the ladder adds one part to the row above. All of them assign by size.
PLAIN_FPN = _variant("plain FPN", "fpn", neck="fpn", cem=False, fbsm="off", balance="none")
NO_TOP_HEADS = _variant("heads on P2-P4 only", "bare", cem=False, fbsm="off", balance="none")
WITH_CEM = _variant("+ CEM", "cem", fbsm="off", balance="none")
WITH_FBSM = _variant("+ FBSM", "cem-fbsm", balance="none")
FULL = _variant("+ DCLoss: E-FPN-BS", "full")
LADDER = (PLAIN_FPN, NO_TOP_HEADS, WITH_CEM, WITH_FBSM, FULL)
TEACHER = _variant("+ CEM, FBSM in training only", "cem-teacher", fbsm="teacher", balance="none")
PER_BAND = _variant("E-FPN-BS, DCLoss per band", "per-band", balance="band")
WITHOUT_CEM = _variant("E-FPN-BS without CEM", "no-cem", cem=False)
DYNAMIC = _variant("E-FPN-BS, dynamic assigner in the second half", "dynamic", by_size=0.5)
WITHOUT_NWD = _variant("E-FPN-BS, dynamic assigner without NWD", "dynamic-no-nwd", nwd=False, by_size=0.5)
VARIANTS = (*LADDER, TEACHER, PER_BAND, WITHOUT_CEM, DYNAMIC, WITHOUT_NWD)

# Name of a part, a variant with it, and the same variant without it.
COMPARISONS = (
    ("E-FPN-BS + DCLoss over plain FPN", FULL, PLAIN_FPN),
    ("dropping P5 and P6", NO_TOP_HEADS, PLAIN_FPN),
    ("CEM", WITH_CEM, NO_TOP_HEADS),
    ("CEM, beside FBSM and DCLoss", FULL, WITHOUT_CEM),
    ("FBSM", WITH_FBSM, WITH_CEM),
    ("FBSM in training only", TEACHER, WITH_CEM),
    ("DCLoss", FULL, WITH_FBSM),
    ("DCLoss per band", PER_BAND, WITH_FBSM),
    ("dynamic assigner", DYNAMIC, FULL),
    ("NWD in the dynamic assigner", DYNAMIC, WITHOUT_NWD),
)


def variants_called(slugs: Sequence[str]) -> tuple[Variant, ...]:
    """Variants by their slugs, in the order of `VARIANTS`. Raises `InputError` for an unknown or repeated slug."""
    known = [variant.slug for variant in VARIANTS]
    for slug in slugs:
        if slug not in known:
            raise InputError(f"no variant is called {shown(slug)}: expected some of {', '.join(known)}")
    if len(set(slugs)) < len(slugs):
        raise InputError(f"expected each variant once, got {shown(','.join(slugs))}")
    return tuple(variant for variant in VARIANTS if variant.slug in slugs)
