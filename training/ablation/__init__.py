"""Ablation: train the detector with and without each of its parts, for several seeds, and compare."""
