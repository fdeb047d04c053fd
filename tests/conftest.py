"""Fixtures for every test: fixed seeds, and the shared photographs where the machine has them."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.paths import REPOSITORY


@pytest.fixture(autouse=True)
def fixed_seeds() -> None:
    """Every test starts from the same random state, whichever ran before it (torch too, if loaded)."""
    random.seed(0)
    np.random.seed(0)
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(0)


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What runtimes compile is kept for this run alone."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def aerial_vehicles() -> Path:
    """The aerial-vehicles photographs, folders `tiny` and `native`: in $TINYDET_DATA, else beside the repository."""
    named = os.environ.get("TINYDET_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data" / "aerial-vehicles"
    if not (folder / "tiny" / "annotations").is_dir():
        reason = f"no aerial-vehicles photographs in {folder}: name their folder in TINYDET_DATA"
        if named:
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(scope="session")
def aerial_vehicles_tiny(aerial_vehicles: Path) -> Path:
    """The dataset folder with vehicles of about 12 px: `annotations/{train,val}.json` and the images beside it."""
    return aerial_vehicles / "tiny"


@pytest.fixture(scope="session")
def aerial_vehicles_native(aerial_vehicles: Path) -> Path:
    """The same frames at their own size, up to 1920x1080."""
    return aerial_vehicles / "native"
