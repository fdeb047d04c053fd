"""Training engine: turns a recipe into checkpoints, metrics and curves."""
