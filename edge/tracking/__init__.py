"""Following objects from frame to frame."""

from edge.tracking.tracker import LOW_SCORE, UNCONFIRMED, Tracker

__all__ = ["LOW_SCORE", "UNCONFIRMED", "Tracker"]
