"""Scores of detections and tracks: average precision, IDF1."""
