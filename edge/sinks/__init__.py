"""Outputs of a stream: one file per kind, each run in a thread of its own."""
