"""Commands that train, and that look at data sets and checkpoints."""
