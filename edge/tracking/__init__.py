"""Tracking of objects from frame to frame."""
