from __future__ import annotations

import pytest
import torch
from monai.data import decollate_batch, list_data_collate

from scripts.transforms import CropRegiond


@pytest.fixture
def item() -> dict:
    x, y = torch.meshgrid(torch.arange(50), torch.arange(70), indexing="ij")
    return {"image": torch.stack([x, y]), "label": torch.stack([x, y])}


def test_region_is_left_top_right_bottom(item: dict) -> None:
    cropped = CropRegiond(["image", "label"])({**item, "region": [10, 20, 13, 25]})
    assert cropped["image"].shape == (2, 3, 5)
    assert cropped["image"][:, 0, 0].tolist() == [10, 20]
    torch.testing.assert_close(cropped["image"], cropped["label"])
    assert CropRegiond("image")(item)["image"].shape == (2, 50, 70)


@pytest.mark.parametrize("region", [[10, 20, 13, 25], [0, 66, 50, 70], [0, 0, 50, 70]])
def test_context_is_kept_for_the_network_and_cut_off_after_it(item: dict, region: list[int]) -> None:
    alone = CropRegiond("image")({**item, "region": region})["image"]
    with_context = CropRegiond(["image", "label"], margin=4)({**item, "region": region})
    left, top, right, bottom = region
    expected = item["image"][:, max(0, left - 4) : right + 4, max(0, top - 4) : bottom + 4]
    torch.testing.assert_close(with_context["image"], expected)
    torch.testing.assert_close(CropRegiond("image")(with_context)["image"], alone)
    collated = decollate_batch(list_data_collate([with_context, with_context]))
    torch.testing.assert_close(CropRegiond("image")(collated[1])["image"], alone)
