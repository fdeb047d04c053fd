"""The detectors that an ablation compares, from the plain baseline up."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Variant:
    """name: for people; slug: for folders; settings: the recipe's fields that make it, as `--set` takes them."""

    name: str
    slug: str
    settings: tuple[str, ...]


def _variant(name: str, slug: str, *, neck: str, cem: bool, fbsm: bool, dcloss: bool, nwd: bool) -> Variant:
    flags = {"model.cem": cem, "model.fbsm": fbsm, "loss.dcloss": dcloss, "loss.nwd": nwd}
    settings = (f"model.neck={neck}", *(f"{field}={str(value).lower()}" for field, value in flags.items()))
    return Variant(name=name, slug=slug, settings=settings)


# Each row of the ladder adds one thing to the row above it.
PLAIN_FPN = _variant("plain FPN", "fpn", neck="fpn", cem=False, fbsm=False, dcloss=False, nwd=False)
NO_TOP_HEADS = _variant(
    "heads on P2-P4 only, dynamic assigner", "bare", neck="efpn-bs", cem=False, fbsm=False, dcloss=False, nwd=True
)
WITH_CEM = _variant("+ CEM", "cem", neck="efpn-bs", cem=True, fbsm=False, dcloss=False, nwd=True)
WITH_FBSM = _variant("+ FBSM", "cem-fbsm", neck="efpn-bs", cem=True, fbsm=True, dcloss=False, nwd=True)
FULL = _variant("+ DCLoss: E-FPN-BS in full", "full", neck="efpn-bs", cem=True, fbsm=True, dcloss=True, nwd=True)
LADDER = (PLAIN_FPN, NO_TOP_HEADS, WITH_CEM, WITH_FBSM, FULL)
WITHOUT_NWD = _variant(
    "in full, assigner without NWD", "no-nwd", neck="efpn-bs", cem=True, fbsm=True, dcloss=True, nwd=False
)
VARIANTS = (*LADDER, WITHOUT_NWD)

# What is said about a part: the variant with it, and the variant without it.
COMPARISONS = (
    ("E-FPN-BS + DCLoss over plain FPN", FULL, PLAIN_FPN),
    ("dropping P5/P6 heads, dynamic assigner", NO_TOP_HEADS, PLAIN_FPN),
    ("CEM", WITH_CEM, NO_TOP_HEADS),
    ("FBSM", WITH_FBSM, WITH_CEM),
    ("DCLoss", FULL, WITH_FBSM),
    ("NWD in the assigner", FULL, WITHOUT_NWD),
)
