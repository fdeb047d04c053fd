"""The training engine: recipe in, checkpoints, metrics and curves out."""
