"""Emulated Arm boards: QEMU runs the CPUs of the Raspberry Pi 4 and 5."""
