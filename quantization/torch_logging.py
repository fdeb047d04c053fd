"""Silence for torch.export and torchao: a library that chatters hides the one line that mattered."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

NOISY_LOGGERS = ("torch.export", "torch._export", "torch.utils._pytree", "torchao")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Within the block those loggers pass errors only and warnings are dropped.

    They warn about themselves (deprecations, missing CUDA extensions), never about the user's input: that is checked
    before they are called. Failures still travel as exceptions.
    """
    loggers = [logging.getLogger(name) for name in NOISY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
