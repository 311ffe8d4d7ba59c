from __future__ import annotations

import monai.losses
import pytest
import torch

from scripts.losses import DiceCELoss

SETTINGS = {"include_background": False, "to_onehot_y": True, "softmax": True, "batch": True}


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 2, 12, 9, generator=generator, requires_grad=True)
    return logits, (torch.rand(2, 1, 12, 9, generator=generator) > 0.6).to(torch.uint8)


def test_where_all_is_known_it_is_monai_s() -> None:
    logits, labels = batch()
    assert DiceCELoss(**SETTINGS)(logits, labels) == monai.losses.DiceCELoss(**SETTINGS)(logits, labels)


def test_what_is_not_known_does_not_count() -> None:
    """The loss is that of the pixels that are known, and the others have no gradient."""
    logits, labels = batch()
    labels[:, :, 5:] = 255
    loss = DiceCELoss(**SETTINGS)(logits, labels)
    assert loss.item() == pytest.approx(
        monai.losses.DiceCELoss(**SETTINGS)(logits[:, :, :5], labels[:, :, :5]).item(), rel=1e-5
    )
    loss.backward()
    assert not logits.grad[:, :, 5:].any()
    assert logits.grad[:, :, :5].all()


def test_nothing_known() -> None:
    logits, labels = batch()
    loss = DiceCELoss(**SETTINGS)(logits, torch.full_like(labels, 255))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert not logits.grad.any()
