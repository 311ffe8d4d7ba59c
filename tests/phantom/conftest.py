"""A block of tissue and its sections, which several tests look at."""

from __future__ import annotations

import numpy as np
import pytest

from scripts.phantom import PhantomTissue


@pytest.fixture(scope="session")
def tissue() -> PhantomTissue:
    return PhantomTissue(0, (320, 256), 9)


@pytest.fixture(scope="session")
def sections(tissue: PhantomTissue) -> list[tuple[np.ndarray, np.ndarray]]:
    return [tissue.section(index) for index in range(9)]
