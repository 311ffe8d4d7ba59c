from __future__ import annotations

import torch
from monai.engines import SupervisedEvaluator
from torch import nn

from scripts.handlers import FoldBatchNorm


def test_same_output_without_normalisation() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    network(torch.rand(8, 1, 9, 9))  # running statistics that are not the initial ones
    batch = {"image": torch.rand(1, 1, 9, 9)}
    evaluator = SupervisedEvaluator("cpu", [batch], network, val_handlers=[FoldBatchNorm()], decollate=False)
    evaluator.run()
    expected = network.eval()(batch["image"])
    torch.testing.assert_close(evaluator.state.output["pred"], expected, rtol=1e-5, atol=1e-6)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in evaluator.network.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
