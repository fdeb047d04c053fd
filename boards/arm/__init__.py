"""Arm boards without a board: their CPUs, emulated by QEMU."""
