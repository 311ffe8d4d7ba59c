from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.handlers import (
    EarlyStopping,
    LoadWeights,
    PromoteBestWeights,
    RequireFinite,
    TrainingCheckpoint,
    load_weights,
    lock_training,
    unlock_trainings,
)
from scripts.io import lock


def make_trainer(folder: Path, scores: list[float], resume: bool = False, patience: int = 99) -> Engine:
    """A trainer whose validations give the scores of a list."""
    torch.manual_seed(0)
    network = nn.Linear(1, 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)

    def step(engine: Engine, batch: torch.Tensor) -> None:
        optimizer.zero_grad()
        network(batch).sum().backward()
        optimizer.step()

    trainer = Engine(step)
    trainer.scaler = None
    trainer.network = network
    trainer.state.max_epochs, trainer.state.epoch_length = len(scores), 1
    evaluator = SimpleNamespace(state=SimpleNamespace(best_metric=-1, best_metric_epoch=-1))

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine: Engine) -> None:
        score = scores[engine.state.epoch - 1]
        # as MONAI does it: what comes first is the best so far, even NaN
        if evaluator.state.best_metric_epoch == -1 or score > evaluator.state.best_metric:
            evaluator.state.best_metric, evaluator.state.best_metric_epoch = score, engine.state.epoch

    EarlyStopping(evaluator, patience).attach(trainer)
    TrainingCheckpoint(folder, network, {"optimizer": optimizer}, evaluator, resume).attach(trainer)
    return trainer


def run(trainer: Engine) -> Engine:
    trainer.run([torch.ones(1, 1)], max_epochs=trainer.state.max_epochs)
    return trainer


def test_best_and_last(tmp_path: Path) -> None:
    run(make_trainer(tmp_path, [0.1, 0.5]))
    best = torch.load(tmp_path / "model.pt")
    trainer = run(make_trainer(tmp_path / "longer", [0.1, 0.5, 0.3]))
    torch.testing.assert_close(torch.load(tmp_path / "longer" / "model.pt"), best)
    last = torch.load(tmp_path / "longer" / "checkpoint.pt")
    torch.testing.assert_close(last["network"], trainer.network.state_dict())
    assert (last["epoch"], last["best_metric"], last["best_metric_epoch"]) == (3, 0.5, 2)


def test_a_resumed_training_ends_in_the_same_state(tmp_path: Path) -> None:
    scores = [0.1, 0.5, 0.3, 0.4]
    run(make_trainer(tmp_path / "whole", scores))
    run(make_trainer(tmp_path / "parts", scores[:2]))
    run(make_trainer(tmp_path / "parts", scores, resume=True))
    for file in ("model.pt", "checkpoint.pt"):
        whole, parts = torch.load(tmp_path / "whole" / file), torch.load(tmp_path / "parts" / file)
        torch.testing.assert_close(parts, whole, rtol=0, atol=0)


def test_a_worse_network_does_not_replace_the_best_after_resuming(tmp_path: Path) -> None:
    run(make_trainer(tmp_path, [0.5]))
    before = (tmp_path / "model.pt").read_bytes()
    run(make_trainer(tmp_path, [0.5, 0.4], resume=True))
    assert (tmp_path / "model.pt").read_bytes() == before


def test_nan_is_never_the_best(tmp_path: Path) -> None:
    run(make_trainer(tmp_path / "all", [float("nan"), float("nan")]))
    assert not (tmp_path / "all" / "model.pt").exists()
    run(make_trainer(tmp_path / "first", [float("nan"), 0.3, float("nan"), 0.2]))
    last = torch.load(tmp_path / "first" / "checkpoint.pt")
    assert (last["best_metric"], last["best_metric_epoch"]) == (0.3, 2)
    assert (tmp_path / "first" / "model.pt").is_file()


def test_early_stop_counts_across_a_resumption(tmp_path: Path) -> None:
    scores = [0.5, 0.4, 0.4, 0.4, 0.4, 0.4]
    run(make_trainer(tmp_path, scores[:2], patience=3))
    assert run(make_trainer(tmp_path, scores, resume=True, patience=3)).state.epoch == 4
    with pytest.raises(ValueError, match="patience must be at least 1 epoch, but got 0"):
        EarlyStopping(None, 0)


@pytest.mark.parametrize(("scores", "epochs"), [([0.5, 0.6, 0.7], 12), ([0.5, 0.4, 0.7], 8)])
def test_a_training_ends_after_a_validation_alone(scores: list[float], epochs: int) -> None:
    """Validated every 4 epochs, with a patience of 2: what improves goes on."""
    evaluator = SimpleNamespace(state=SimpleNamespace(best_metric=-1, best_metric_epoch=-1))
    trainer = Engine(lambda engine, batch: None)

    @trainer.on(Events.EPOCH_COMPLETED(every=4))
    def validate(engine: Engine) -> None:
        score = scores[engine.state.epoch // 4 - 1]
        if score > evaluator.state.best_metric:
            evaluator.state.best_metric, evaluator.state.best_metric_epoch = score, engine.state.epoch

    EarlyStopping(evaluator, patience=2, interval=4).attach(trainer)
    assert trainer.run([0], max_epochs=12).epoch == epochs


def test_a_training_that_diverges_ends_with_an_error() -> None:
    def train(*losses: float, bias: float = 0.0, skipping: bool = False) -> int:
        network = nn.Linear(1, 1)
        nn.init.constant_(network.bias, bias)

        def step(engine: Engine, batch: int) -> list[dict]:
            loss = torch.tensor(losses[engine.state.iteration - 1])
            if not skipping and not loss.isfinite():
                nn.init.constant_(network.bias, float("nan"))
            return [{"loss": loss}]

        trainer = Engine(step)
        RequireFinite(network).attach(trainer)
        return trainer.run([0, 0], max_epochs=2).epoch

    assert train(1.0, 0.5, 0.5, 0.5) == 2
    with pytest.raises(FloatingPointError, match=r"the loss must be finite, but got nan in epoch 2, step 3: "):
        train(1.0, 0.5, float("nan"), 0.5)
    assert train(1.0, 0.5, float("inf"), 0.5, skipping=True) == 2  # as the gradients' scaler of mixed precision does
    with pytest.raises(FloatingPointError, match="bias must be finite, but got inf in epoch 1, step 2"):
        train(1.0, 0.5, 0.5, 0.5, bias=float("inf"))


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    other = lock(tmp_path / ".lock", "")  # what another process has
    with pytest.raises(OSError, match=f"{tmp_path}: another training runs here"):
        lock_training(tmp_path)
    os.close(other)
    lock_training(tmp_path)
    lock_training(tmp_path)  # one after the other
    with pytest.raises(OSError, match="taken"):
        lock(tmp_path / ".lock", "taken")
    # the process is killed, and one that loads sections for it lives on for a while
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    loading = context.Process(target=lambda: (ready.set(), time.sleep(60)))
    loading.start()
    ready.wait()
    unlock_trainings()
    assert loading.is_alive()
    os.close(lock(tmp_path / ".lock", "taken"))
    loading.terminate()
    loading.join()


def test_a_folder_that_was_made_anew_is_locked_anew(tmp_path: Path) -> None:
    for _ in range(2):
        (tmp_path / "run").mkdir()
        lock_training(tmp_path / "run")
        with pytest.raises(OSError, match="taken"):
            lock(tmp_path / "run" / ".lock", "taken")
        shutil.rmtree(tmp_path / "run")
    unlock_trainings()


def test_a_training_that_ended_locks_nothing(tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path, [0.5, 0.6])
    lock_training(tmp_path)
    run(trainer)
    os.close(lock(tmp_path / ".lock", "taken"))


def test_a_training_is_not_overwritten(tmp_path: Path) -> None:
    run(make_trainer(tmp_path, [0.5]))
    with pytest.raises(FileExistsError, match=r"model.pt.*`--resume True`"):
        run(make_trainer(tmp_path, [0.5]))
    with pytest.raises(ValueError, match=r"checkpoint.pt: has all its 1 epochs"):
        run(make_trainer(tmp_path, [0.5], resume=True))
    with pytest.raises(FileNotFoundError, match="no training to resume"):
        run(make_trainer(tmp_path / "empty", [0.5], resume=True))
    (tmp_path / "checkpoint.pt").unlink()
    with pytest.raises(FileExistsError, match=r"model\.pt: a training lies here; it has no checkpoint\.pt to resume"):
        run(make_trainer(tmp_path, [0.5]))
    with pytest.raises(FileNotFoundError, match=r"no training to resume; .*model\.pt can begin another"):
        run(make_trainer(tmp_path, [0.5], resume=True))


def test_weights_of_a_state_dict_and_of_a_checkpoint(tmp_path: Path) -> None:
    trained = nn.Linear(3, 2)
    torch.save(trained.state_dict(), tmp_path / "bare.pt")
    torch.save({"network": trained.state_dict(), "epoch": 3}, tmp_path / "checkpoint.pt")
    for file in ("bare.pt", "checkpoint.pt"):
        network = nn.Linear(3, 2)
        engine = Engine(lambda engine, batch: None)
        LoadWeights(network, tmp_path / file).attach(engine)
        engine.run([0])
        torch.testing.assert_close(network.weight, trained.weight)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 2).state_dict(), tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a.pt: .*do not fit Linear.*: 1 of another shape: weight \(2, 3\)"):
        load_weights(nn.Linear(4, 2), tmp_path / "a.pt")
    with pytest.raises(ValueError, match="1 unexpected: bias"):
        load_weights(nn.Linear(3, 2, bias=False), tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"2 missing: 0.bias, 0.weight; 2 unexpected: bias, weight"):
        load_weights(nn.Sequential(nn.Linear(3, 2)), tmp_path / "a.pt")


def test_files_without_weights(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.pt: no such file of weights"):
        load_weights(nn.Linear(1, 1), tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("text")
    with pytest.raises(ValueError, match=r"text.pt: is no checkpoint"):
        load_weights(nn.Linear(1, 1), tmp_path / "text.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(ValueError, match=r"list.pt: holds no weights"):
        load_weights(nn.Linear(1, 1), tmp_path / "list.pt")


def publish(folder: Path, scores: list[float], deployed: float) -> dict:
    """Train with the scores of a list, where the weights in use have another."""
    trainer = make_trainer(folder, scores)
    torch.save(nn.Linear(1, 1).state_dict(), folder / "deployed.pt")
    initial = {key: value.clone() for key, value in trainer.network.state_dict().items()}
    seen = []

    class Evaluator:
        state = SimpleNamespace(best_metric=-1, best_metric_epoch=-1, key_metric_name="jaccard")

        def run(self) -> None:
            seen.append({key: value.clone() for key, value in trainer.network.state_dict().items()})
            self.state.best_metric, self.state.best_metric_epoch = deployed, 1

    evaluator = Evaluator()

    @trainer.on(Events.EPOCH_COMPLETED)
    def validate(engine: Engine) -> None:
        score = scores[engine.state.epoch - 1]
        # as MONAI does it: what comes first is the best so far, even NaN
        if evaluator.state.best_metric_epoch == -1 or score > evaluator.state.best_metric:
            evaluator.state.best_metric, evaluator.state.best_metric_epoch = score, engine.state.epoch

    handler = PromoteBestWeights(folder, folder / "deployed.pt", folder / "copy.pt", trainer.network, evaluator)
    handler.attach(trainer)
    before = torch.load(folder / "deployed.pt")
    trainer.add_event_handler(
        Events.EPOCH_STARTED(once=1),
        lambda: torch.testing.assert_close(trainer.network.state_dict(), initial, rtol=0, atol=0),
    )
    run(trainer)
    torch.testing.assert_close(seen[0], before, rtol=0, atol=0)
    return json.loads((folder / "stats.json").read_text())


def test_better_weights_are_published(tmp_path: Path) -> None:
    stats = publish(tmp_path, [0.4, 0.6, 0.5], deployed=0.5)
    best = (tmp_path / "model.pt").read_bytes()
    assert (tmp_path / "deployed.pt").read_bytes() == best == (tmp_path / "copy.pt").read_bytes()
    assert stats == {
        "epoch": 3,
        "total_epochs": 3,
        "best_metric": 0.6,
        "best_metric_epoch": 2,
        "deployed_before": 0.5,
        "published": True,
    }


def test_worse_weights_are_kept_beside_those_in_use(tmp_path: Path) -> None:
    torch.manual_seed(1)
    stats = publish(tmp_path, [0.4, 0.5], deployed=0.5)
    assert stats["published"] is False
    assert (tmp_path / "copy.pt").read_bytes() == (tmp_path / "model.pt").read_bytes()
    assert (tmp_path / "deployed.pt").read_bytes() != (tmp_path / "model.pt").read_bytes()
