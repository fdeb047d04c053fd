"""What a source is, and what it yields."""

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
    """Position in the source, from 0; frames that could not be read count."""
    name: str
    """File name of the image; of a video or a live source its name and the frame's number."""
    image_rgb: npt.NDArray[np.uint8]
    """(H, W, 3) RGB."""
    time_s: float | None
    """Since the start of the video or the first frame of a live source; None for still images."""
    captured_s: float | None = None
    """`time.monotonic()` when a live source's frame arrived; None for files."""


class Source(ABC):
    """Yields frames in order; can be iterated again."""

    name: str
    """As the user named it."""
    is_live: bool
    """Frames come whether or not somebody takes them; there is no end."""
    frame_count: int | None
    """How many frames there are; None where only reading them all would tell."""
    frames_per_s: float | None
    """None for still images, and where the source does not tell."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:
        """End the iteration, from any thread, at the next frame or after the wait for one."""
        return None
