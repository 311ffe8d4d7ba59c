"""Stacks of sections and their alignments, which several tests look at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from stacks import COUNT, FOLDED, align, registration, write_folder
from textures import imaged

from scripts.registration import PairRegistration


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of five sections, the last one with a fold."""
    sections = {f"section_{i}.png": imaged(i, fold=i == FOLDED)[0] for i in range(COUNT)}
    return write_folder(tmp_path_factory.mktemp("stack"), sections)


@pytest.fixture(scope="session")
def aligned(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its alignment; not to be changed."""
    output = tmp_path_factory.mktemp("aligned") / "output"
    align(folder, output, registration(detect_folds=True))
    return output


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stack of three sections without folds."""
    return write_folder(tmp_path_factory.mktemp("three"), {f"section_{i}.png": imaged(i)[0] for i in (1, 2, 3)})


@pytest.fixture(scope="session")
def aligned_three(three: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its alignment; not to be changed."""
    output = tmp_path_factory.mktemp("aligned_three") / "output"
    align(three, output)
    return output


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Callable[[int | None], list]:
    """Count how often a section is registered; from a given call on this fails, as if the run were killed."""
    original = PairRegistration.__call__

    def watch(most: int | None = None) -> list:
        done: list = []

        def register(self: PairRegistration, *arguments: object) -> object:
            if len(done) == most:
                raise KeyboardInterrupt
            done.append(arguments)
            return original(self, *arguments)

        monkeypatch.setattr(PairRegistration, "__call__", register)
        return done

    return watch
