"""Diagnosis of a board: working and missing parts, and how to install them."""
