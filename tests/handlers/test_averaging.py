from __future__ import annotations

import pytest
import torch
from ignite.engine import Engine
from torch import nn

from scripts.handlers import WeightAverage


def run(momentum: float, steps: int) -> tuple[WeightAverage, list[float]]:
    """A network whose only weight counts the steps."""
    network = nn.Linear(1, 1, bias=False)
    average = WeightAverage(network, momentum)

    def step(engine: Engine, _: int) -> None:
        with torch.no_grad():
            network.weight.fill_(engine.state.iteration)

    engine = Engine(step)
    average.attach(engine)
    engine.run(range(steps), max_epochs=1)
    return average, engine.state.ema_momentum if momentum < 1 else 1.0


def test_the_average_follows_the_formula() -> None:
    average, momentum = run(0.2, 60)
    expected = average.model.weight.new_zeros(())
    for iteration in range(1, 61):
        share = max(0.2, 9 / (10 + iteration))
        expected = (1 - share) * expected + share * iteration
    torch.testing.assert_close(average.ema_model.weight.squeeze(), expected, rtol=1e-5, atol=1e-4)
    assert momentum == 0.2
    assert not average.ema_model.weight.requires_grad


def test_what_it_starts_from_is_soon_forgotten() -> None:
    average, _ = run(0.001, 20)
    assert 15 < average.ema_model.weight.item() < 20


def test_no_average() -> None:
    average, _ = run(1.0, 5)
    assert average.ema_model is average.model


@pytest.mark.parametrize("momentum", [0.0, -1.0, 1.5])
def test_bad_momentum(momentum: float) -> None:
    with pytest.raises(ValueError, match="Invalid momentum"):
        WeightAverage(nn.Linear(1, 1), momentum)
