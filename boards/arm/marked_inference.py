"""Runs on the emulated board: two inferences, the second between two getppid() calls for `count_instructions.c`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np

from tinydet.edge.runtimes.opening import open_runtime

if __name__ == "__main__":
    with open_runtime(Path(sys.argv[1]), threads=1) as runtime:
        images = np.random.default_rng(0).integers(0, 256, (1, *runtime.metadata.input_hw, 3), dtype=np.uint8)
        runtime.infer(images)  # the first one also allocates memory and packs weights
        os.getppid()
        runtime.infer(images)
        os.getppid()
