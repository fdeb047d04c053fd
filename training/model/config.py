"""Configuration of the network, and the table of its sizes."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from tinydet.edge.artifact import ClassNames, ModelName
from tinydet.edge.errors import InputError
from tinydet.edge.files.numbers import Range
from tinydet.edge.files.schema import Name

BACKBONES: tuple[str, ...] = ("lite0", "lite2", "lite4", "fused0", "resnet50")
Fbsm = Literal["gate", "teacher", "off"]
NECKS: tuple[str, ...] = ("efpn-bs", "fpn")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Architecture of a detector. Networks with equal configurations can load each other's weights.

    size: row of `SIZES` that the configuration came from; part of artifact names.
    backbone: `lite0`, `lite2`, `lite4` (EfficientNet-Lite), `fused0` (FusedLite) or `resnet50`.
    channels: width of every pyramid level.
    head_convs: convolutions before each prediction, depthwise separable or, with `dense_head`, plain 3x3.
    decoupled_head: separate convolutions for classes and boxes; otherwise they share them.
    dense_head: plain 3x3 convolutions in the heads.
    neck: `efpn-bs`, which detects on P2-P4, or the baseline `fpn`, a plain FPN that detects on P2-P6.
    cem: add context from P5 and P6 to the low levels (`efpn-bs` only).
    fbsm: `gate` multiplies each low level with its foreground mask; `teacher` only trains the mask, for what its loss
        teaches the features, and inference is without it; `off` has no mask (`efpn-bs` only).
    class_names: class names in the order of the class ids.
    """

    size: ModelName
    backbone: Name
    channels: Annotated[int, Range(1, 512)]
    head_convs: Annotated[int, Range(0, 8)]
    decoupled_head: bool
    dense_head: bool
    neck: Name
    cem: bool
    fbsm: Fbsm
    class_names: ClassNames

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise InputError(f"unknown backbone {self.backbone!r}: expected one of {', '.join(BACKBONES)}")
        if self.neck not in NECKS:
            raise InputError(f"unknown neck {self.neck!r}: expected one of {', '.join(NECKS)}")
        if self.neck == "fpn" and (self.cem or self.fbsm != "off"):
            raise InputError("neck 'fpn' has neither module: set cem = false and fbsm = 'off'")
        if not self.class_names:
            raise InputError("a detector needs at least one class name")
        if len(set(self.class_names)) < len(self.class_names):
            raise InputError(f"class names: expected each once, got {', '.join(self.class_names)}")

    @property
    def strides(self) -> tuple[int, ...]:
        """Pixels per cell of each detection level."""
        return (4, 8, 16) if self.neck == "efpn-bs" else (4, 8, 16, 32, 64)

    def as_dict(self) -> dict[str, Any]:
        """JSON values, for `validated`."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"class_names": list(self.class_names)}


SIZES: dict[str, dict[str, Any]] = {
    "n": {"backbone": "lite0", "channels": 48, "head_convs": 1, "decoupled_head": False, "dense_head": False},
    "s": {"backbone": "lite2", "channels": 64, "head_convs": 2, "decoupled_head": True, "dense_head": False},
    "m": {"backbone": "lite4", "channels": 96, "head_convs": 2, "decoupled_head": True, "dense_head": True},
    "r50": {"backbone": "resnet50", "channels": 256, "head_convs": 4, "decoupled_head": True, "dense_head": True},
}


def model_config(
    size: str,
    class_names: tuple[str, ...],
    *,
    backbone: str | None = None,
    neck: str = "efpn-bs",
    cem: bool = True,
    fbsm: Fbsm = "gate",
) -> ModelConfig:
    """Configuration of a row of `SIZES`, with `backbone` instead of the row's if given.

    Raises `InputError` for an unknown name.
    """
    if size not in SIZES:
        raise InputError(f"unknown model size {size!r}: expected one of {', '.join(SIZES)}")
    row = SIZES[size] | ({} if backbone is None else {"backbone": backbone})
    return ModelConfig(size=size, **row, neck=neck, cem=cem, fbsm=fbsm, class_names=class_names)
