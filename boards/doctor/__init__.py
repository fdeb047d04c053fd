"""Examination of a board: what works on it, what is missing and how to install it."""
