"""INT8: the grid that every target shares, calibration, fine-tuning, sensitivity and the accuracy gate."""
