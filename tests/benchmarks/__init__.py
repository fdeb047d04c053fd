"""Timings. They need an otherwise idle machine, so `make bench` runs them and `make test` does not."""
