from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from monai.transforms import RandGaussianNoise

from scripts.handlers import DataWait, EpochSeed, LossProgressBar


def epochs(first: int, last: int) -> list[torch.Tensor]:
    """What a training of those epochs sees and draws."""
    loader = DataLoader(Dataset([torch.zeros(1, 2)] * 3, RandGaussianNoise(prob=1)), shuffle=True)
    seen = []
    engine = Engine(lambda engine, batch: seen.append(batch.as_tensor().clone() + torch.rand(1)))
    EpochSeed(7, loader).attach(engine)
    engine.state.epoch, engine.state.iteration = first - 1, 3 * (first - 1)
    engine.state.epoch_length, engine.state.max_epochs = 3, last
    engine.run(loader, max_epochs=last, epoch_length=3)
    return seen


def test_an_epoch_depends_on_seed_and_number_alone() -> None:
    whole, later = epochs(1, 4), epochs(3, 4)
    assert len(whole) == 12
    torch.testing.assert_close(later, whole[6:], rtol=0, atol=0)
    assert not np.allclose(torch.cat(whole[:3]), torch.cat(whole[3:6]))


@pytest.mark.parametrize(("loading", "computing", "low", "high"), [(0.02, 0, 0.8, 1), (0, 0.02, 0, 0.2)])
def test_share_of_waiting(loading: float, computing: float, low: float, high: float) -> None:
    def batches() -> Iterator[int]:
        for i in range(5):
            time.sleep(loading)
            yield i

    engine = Engine(lambda engine, batch: time.sleep(computing))
    DataWait().attach(engine)
    engine.run(batches(), epoch_length=5)
    assert low < engine.state.metrics["data_wait"] < high


def test_bar_shows_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(lambda engine, batch: [{"loss": 0.125}])
    LossProgressBar(desc="training", persist=True).attach(engine)
    engine.run([0, 1])
    assert "loss=0.125" in capsys.readouterr().err
