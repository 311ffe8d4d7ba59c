from __future__ import annotations

import pytest
import torch

from scripts.transforms import MaskTissued


def test_results_are_0_where_there_is_no_tissue() -> None:
    pred = torch.tensor([[[0.2, 0.9, float("nan")], [1.0, 0.5, 0.3]]])
    tissue = torch.tensor([[[1, 0, 0], [1, 1, 0]]], dtype=torch.uint8)
    item = MaskTissued(["pred", "with_crf"], allow_missing_keys=True)({"pred": pred, "tissue": tissue, "other": 3})
    assert item["pred"] is pred, "a section is not copied"
    torch.testing.assert_close(pred, torch.tensor([[[0.2, 0, 0], [1.0, 0.5, 0]]]))
    assert item["tissue"] is tissue
    assert item["other"] == 3
    with pytest.raises(KeyError, match="with_crf"):
        MaskTissued("with_crf")({"pred": pred, "tissue": tissue})
