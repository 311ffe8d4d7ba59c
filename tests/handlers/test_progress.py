from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from ignite.engine import Engine
from monai.data import DataLoader, Dataset
from monai.transforms import RandGaussianNoise

from scripts.handlers import DataLoadingTime, EpochSeed, LossProgressBar


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


@pytest.mark.parametrize(("loading", "computing"), [(3.0, 1.0), (0.0, 2.0), (2.0, 0.0)])
def test_share_of_waiting(monkeypatch: pytest.MonkeyPatch, loading: float, computing: float) -> None:
    now = 0.0

    def advance(seconds: float) -> None:
        nonlocal now
        now += seconds

    def batches() -> Iterator[int]:
        for i in range(5):
            advance(loading)
            yield i

    monkeypatch.setattr("ignite.handlers.timing.perf_counter", lambda: now)
    engine = Engine(lambda engine, batch: advance(computing))
    DataLoadingTime().attach(engine)
    engine.run(batches(), epoch_length=5)
    assert engine.state.metrics["data_wait"] == pytest.approx(loading / (loading + computing))


def test_bar_shows_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    engine = Engine(lambda engine, batch: [{"loss": 0.125}])
    LossProgressBar(desc="training", persist=True).attach(engine)
    engine.run([0, 1])
    assert "loss=0.125" in capsys.readouterr().err
