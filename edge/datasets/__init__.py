"""Data sets in the formats people have, read as one `Dataset`."""
