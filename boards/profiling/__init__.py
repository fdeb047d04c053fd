"""Measurement of artifacts on a board: time, memory, power, heat and accuracy."""
