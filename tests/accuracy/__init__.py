"""Accuracy of the bundled models, through the runtimes that run them on boards."""
