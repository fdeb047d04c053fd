"""Accuracy of what ships, through the runtime that flies."""
