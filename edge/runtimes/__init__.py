"""Runtimes: the base class in `runtime`, one file per runtime, which alone imports that library, and `opening`."""
