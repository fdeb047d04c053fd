"""INT8: the one grid every target shares, and its calibration from photographs."""
