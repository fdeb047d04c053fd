"""Silences torch.export and torchao, whose chatter would hide the lines that matter."""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator

NOISY_LOGGERS = ("torch.export", "torch._export", "torch.utils._pytree", "torchao")


@contextlib.contextmanager
def quiet_torch() -> Iterator[None]:
    """Pass only errors of `NOISY_LOGGERS` and drop warnings within the block.

    They warn about themselves (deprecations, missing CUDA extensions), never about the user's input, which is checked
    before they are called. Failures still arrive as exceptions.
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
