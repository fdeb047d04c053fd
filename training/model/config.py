"""Sizes are rows of a table, not code."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from tinydet.edge.errors import InputError

BACKBONES: tuple[str, ...] = ("lite0", "lite2", "lite4", "resnet50")
NECKS: tuple[str, ...] = ("efpn-bs", "fpn")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What the network is made of. Two networks with equal configs load each other's weights.

    size: name of the row in `SIZES` this config came from; part of artifact names.
    backbone: `lite0`, `lite2`, `lite4` (EfficientNet-Lite) or `resnet50`.
    channels: width of every pyramid level.
    head_convs: separable (`dense_head`: plain 3x3) convolutions in front of each prediction.
    decoupled_head: class and box predictions have towers of their own; otherwise they share one.
    dense_head: plain 3x3 head convolutions instead of depthwise separable ones.
    neck: `efpn-bs` detects on P2-P4; `fpn` is the baseline, a plain FPN that detects on P2-P6.
    cem: P5 and P6 feed the low levels as context (`efpn-bs` only).
    fbsm: a foreground mask gates each low level (`efpn-bs` only).
    class_names: in the order of the class ids.
    """

    size: str
    backbone: str
    channels: int
    head_convs: int
    decoupled_head: bool
    dense_head: bool
    neck: str = "efpn-bs"
    cem: bool = True
    fbsm: bool = True
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise InputError(f"unknown backbone {self.backbone!r}: expected one of {', '.join(BACKBONES)}")
        if self.neck not in NECKS:
            raise InputError(f"unknown neck {self.neck!r}: expected one of {', '.join(NECKS)}")
        if self.neck == "fpn" and (self.cem or self.fbsm):
            raise InputError("neck 'fpn' is the plain baseline: set cem = false and fbsm = false with it")
        if not self.class_names:
            raise InputError("a detector needs at least one class name")

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per cell of each level that has a head."""
        return (4, 8, 16) if self.neck == "efpn-bs" else (4, 8, 16, 32, 64)

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` reads them back."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"class_names": list(self.class_names)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """Raises `InputError` when a field is missing or unknown."""
        expected = {field.name for field in fields(cls)}
        if set(values) != expected:
            odd = ", ".join(sorted(expected ^ set(values)))
            raise InputError(f"model config has missing or unknown fields: {odd}")
        return cls(**values | {"class_names": tuple(values["class_names"])})


# size -> backbone, channels, head_convs, decoupled_head, dense_head
SIZES: dict[str, tuple[str, int, int, bool, bool]] = {
    "n": ("lite0", 48, 1, False, False),
    "s": ("lite2", 64, 2, True, False),
    "m": ("lite4", 96, 2, True, True),
    "r50": ("resnet50", 256, 4, True, True),
}


def model_config(
    size: str, class_names: tuple[str, ...], *, neck: str = "efpn-bs", cem: bool = True, fbsm: bool = True
) -> ModelConfig:
    """The row `size` of `SIZES` as a config. Raises `InputError` for an unknown size."""
    if size not in SIZES:
        raise InputError(f"unknown model size {size!r}: expected one of {', '.join(SIZES)}")
    backbone, channels, head_convs, decoupled_head, dense_head = SIZES[size]
    return ModelConfig(
        size=size,
        backbone=backbone,
        channels=channels,
        head_convs=head_convs,
        decoupled_head=decoupled_head,
        dense_head=dense_head,
        neck=neck,
        cem=cem,
        fbsm=fbsm,
        class_names=class_names,
    )
