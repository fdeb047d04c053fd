"""Outputs of a stream: one file per kind of sink; each runs in a thread of its own."""
