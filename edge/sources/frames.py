"""`Source`, the base class of images, videos, cameras and streams, and `Frame`, which it yields."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True, eq=False)
class Frame:
    """One image of a source."""

    index: int
    """Position in the source, from 0; frames that cannot be read count, too."""
    name: str
    """File name of an image; the source's name and the frame's number for a video or live source."""
    image_rgb: npt.NDArray[np.uint8]
    """(H, W, 3) RGB."""
    time_s: float | None
    """Seconds since the start of a video or the first frame of a live source; None for still images."""
    captured_s: float | None = None
    """`time.monotonic()` when a live source's frame arrived; None for files."""


class Source(ABC):
    """Frames in order; can be iterated again."""

    name: str
    """The path or URI that the user gave, without passwords: it is shown, stored and logged."""
    is_live: bool
    """Whether frames arrive by themselves, without end, so that a slow reader has to drop some."""
    frame_count: int | None
    """Number of frames; None if it is unknown before all are read."""
    frames_per_s: float | None
    """Frame rate; None for still images and if the source does not state one."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """End the iteration, from any thread, at the next frame or when waiting for one times out."""
        return None
